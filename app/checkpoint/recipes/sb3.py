"""Stable-Baselines3 and sb3-contrib, and so FinRL's and FreqAI's files: a zip of `data` and state dicts.

PPO, A2C, TRPO, MaskablePPO and RecurrentPPO have mlp_extractor, action_net and value_net; DQN and QR-DQN a
q_net, SAC and TD3 an actor; ARS one action_net. Learned with versions 2.9.2 of both.
"""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Shapes, convolutions, shapes_of, stacks
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.recipes.spaces import describe_action, is_image, observation_size
from app.checkpoint.values import Name, Table, fields_of

_PROGRESS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num", "seed")
_LIBRARY_DEFAULT = "not given: the default of Stable-Baselines3's policies"
_OFF_POLICY = ("q_net.q_net", "quantile_net.quantile_net", "actor.latent_pi", "actor.mu")


def recognise(root: Any) -> bool:
    """Whether the root has the members of a Stable-Baselines3 zip."""
    return isinstance(root, Table) and "data" in root and "policy.pth" in root


def parts(root: Table) -> Parts:
    """The parts by their members; SAC and TD3 keep the actor's optimizer as one of its own."""
    optimizer = next((n for n in ("policy.optimizer.pth", "actor.optimizer.pth") if n in root), "")
    data = fields_of(root.get("data")) or Table()
    return Parts(
        weights_path="policy.pth",
        state=root.get("policy.pth"),
        optimizer_path=optimizer or "policy.optimizer.pth",
        optimizer=root.get(optimizer) if optimizer else None,
        config=root.get("data"),
        versions=Table.of({"stable_baselines3": root.get("_stable_baselines3_version")}),
        progress=Table.of({name: data.get(name) for name in _PROGRESS if name in data}),
    )


def read(root: Table) -> Architecture:
    """The actor's extractor and its action_net; spaces and policy_kwargs say the rest."""
    shapes = shapes_of(root.get("policy.pth"))
    data = fields_of(root.get("data")) or Table()
    said = _said(data)
    network = _on_policy(shapes) or _off_policy(shapes, said)
    facts = dataclasses.replace(network.architecture(Table.of(said)), activation=_activation(data))
    size = observation_size(data.get("observation_space"))
    if convolutions(shapes) and is_image(data.get("observation_space")) and size is not None:
        note = "of the observation space; convolutions do not tell an image's size"
        facts = dataclasses.replace(facts, obs_dim=Fact(size, "config", note))
    return facts


def _on_policy(shapes: Shapes) -> Network | None:
    """mlp_extractor.policy_net and action_net; what both see first is shared where an extractor has weights."""
    found = stacks(shapes)
    if "action_net" not in found:
        return None
    actor = [*found.get("mlp_extractor.policy_net", []), *found["action_net"]]
    critic = [*found.get("mlp_extractor.value_net", []), *found.get("value_net", [])]
    shares = any(name.startswith("features_extractor.") for name in shapes) if critic else None
    return Network(shapes, actor, critic, log_std="log_std", shares=shares)


def _off_policy(shapes: Shapes, said: dict[str, Any]) -> Network:
    found = stacks(shapes)
    name = next((name for name in _OFF_POLICY if name in found), "")
    actor = found.get(name, [])
    kind = None
    if name == "actor.latent_pi":
        actor, kind = [*actor, *found.get("actor.mu", [])], "gaussian"
    elif name == "actor.mu":
        kind = "deterministic"
        said["action_kind"] = None  # a Box tells no distribution
    outputs, actions = (actor[-1][0] if actor else 0), said.get("action_dim") or 1
    is_quantile = name.startswith("quantile_net") and outputs % actions == 0
    quantiles = outputs // actions if is_quantile else 1
    critic = found.get("critic.qf0", [])
    shares = False if critic else None
    return Network(shapes, actor, critic, action_kind=kind, shares=shares, outputs_per_action=quantiles)


def _said(data: Table) -> dict[str, Any]:
    """The facts that the constructor's arguments and the spaces tell."""
    kwargs = fields_of(data.get("policy_kwargs")) or Table()
    arch = kwargs.get("net_arch")
    is_split = isinstance(arch, Table)
    return {
        **describe_action(data.get("action_space")),
        "obs_dim": observation_size(data.get("observation_space")),
        "net_arch": arch.get("pi") if is_split else arch,
        "critic_hidden_dims": arch.get("vf", arch.get("qf")) if is_split else None,
        "lstm_hidden_size": kwargs.get("lstm_hidden_size"),
    }


def _activation(data: Table) -> Fact:
    """The activation that policy_kwargs names, else the library's default: ReLU off-policy, tanh on-policy."""
    kwargs = fields_of(data.get("policy_kwargs"))
    named = kwargs.get("activation_fn") if kwargs is not None else None
    if isinstance(named, Name):
        return Fact(named.name.lower()[:64], "config")
    if named is not None or not data.pairs:
        return Fact(None, "undetermined", "policy_kwargs holds an activation that cannot be read")
    off_policy = "replay_buffer_class" in data or "buffer_size" in data
    return Fact("relu" if off_policy else "tanh", "config", _LIBRARY_DEFAULT)


SB3 = Recipe("stable-baselines3", recognise, parts, read)
