"""Producers whose files are a dict with keys of their own: RSL-RL, rl_games, skrl, Sample Factory."""

from typing import Any

from app.checkpoint.architecture import Architecture, shapes_of, stacks
from app.checkpoint.recipes import generic
from app.checkpoint.recipes.recipe import Network, Parts, Recipe
from app.checkpoint.values import Table


def _has(*keys: str) -> Any:
    return lambda root: isinstance(root, Table) and all(key in root for key in keys)


def _parts(weights: str, optimizer: str) -> Any:
    return lambda root: Parts(weights, root.get(weights), optimizer, root.get(optimizer))


def read_rsl_rl(root: Table) -> Architecture:
    """actor.N and critic.N, with `std` or `log_std` of a Gaussian policy."""
    shapes = shapes_of(root.get("model_state_dict"))
    found = stacks(shapes)
    std = "log_std" if "log_std" in shapes else "std"
    return Network(shapes, found.get("actor", []), found.get("critic", []), None, None, std).architecture()


def read_rl_games(root: Table) -> Architecture:
    """a2c_network.actor_mlp, then mu (continuous) or logits, and value."""
    shapes = shapes_of(root.get("model"))
    found = {name.rpartition("a2c_network.")[2]: layers for name, layers in stacks(shapes).items()}
    trunk = found.get("actor_mlp", [])
    head, kind = (found["mu"], "gaussian") if "mu" in found else (found.get("logits", []), "discrete")
    separate = "critic_mlp" in found
    network = Network(
        shapes,
        [*trunk, *head] if separate else head,
        found.get("value", []),
        None if separate else trunk,
        kind,
    )
    return network.architecture()


def read_skrl(root: Table) -> Architecture:
    """net_container and policy_layer of the policy; `log_std_parameter` of a Gaussian one."""
    shapes = shapes_of(root.get("policy"))
    found = stacks(shapes)
    hidden = [layer for name, layers in found.items() if name.endswith("net_container") for layer in layers]
    head = found.get("policy_layer", found.get("mean_layer", []))
    if not hidden or not head:
        return generic.describe(shapes, None)
    critic = [layer for layers in stacks(shapes_of(root.get("value"))).values() for layer in layers]
    return Network(shapes, [*hidden, *head], critic, None, None, "log_std_parameter").architecture()


def read_sample_factory(root: Table) -> Architecture:
    """The encoder, the core, and the action and value heads, as far as names and shapes tell."""
    return generic.describe(shapes_of(root.get("model")), root.get("cfg"))


RSL_RL = Recipe(
    "rsl_rl",
    _has("model_state_dict", "iter", "infos"),
    _parts("model_state_dict", "optimizer_state_dict"),
    read_rsl_rl,
)
RL_GAMES = Recipe("rl_games", _has("model", "epoch", "frame"), _parts("model", "optimizer"), read_rl_games)
SKRL = Recipe("skrl", _has("policy", "value"), _parts("policy", "optimizer"), read_skrl)
SAMPLE_FACTORY = Recipe(
    "sample_factory",
    _has("train_step", "env_steps", "model"),
    _parts("model", "optimizer"),
    read_sample_factory,
)
