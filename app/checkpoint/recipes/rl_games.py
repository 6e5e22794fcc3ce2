"""rl_games: model, epoch, frame, optimizer, last_mean_rewards, env_state; the network under `a2c_network`.

`actor_mlp`, an `rnn` (`a_rnn` and `c_rnn` where separate) before or after it, `critic_mlp` where separate, then `mu`
(Gaussian), `logits` (discrete) or `logits.N` (multi-discrete), and `value`. `running_mean_std` has the observation's
shape. A central value network stands in `assymetric_vf_nets`. Learned with version 1.6.5.
"""

import dataclasses
import math

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Layers, Shapes, are_parallel, shapes_of, stacks
from app.checkpoint.recipes.generic import progress_of
from app.checkpoint.recipes.keys import has_keys
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_PREFIX = "a2c_network."
_COMPILED = "_orig_mod."
_STATISTICS = "running_mean_std."
_HEADS = frozenset({"mu", "sigma", "logits", "value"})
_CUSTOM = "the network has no actor_mlp: it is not the library's own"


def parts(root: Table) -> Parts:
    """The parts by their keys; the running statistics are tensors of the model."""
    state = root.get("model")
    pairs = state.pairs if isinstance(state, Table) else []
    statistics = [(name, value) for name, value in pairs if _plain(name).startswith(_STATISTICS)]
    return Parts(
        weights_path="model",
        state=state,
        optimizer_path="optimizer",
        optimizer=root.get("optimizer"),
        normaliser=Table(statistics) if statistics else None,
        progress=progress_of(root, ("epoch", "frame", "last_mean_rewards")),
        **({"critic_path": "assymetric_vf_nets"} if "assymetric_vf_nets" in root else {}),
    )


def read(root: Table) -> Architecture:
    """actor_mlp and its head; with a critic_mlp or a central value network the critic is separate."""
    shapes = _shapes(root.get("model"))
    found = _named(shapes)
    trunk = _layers(found, "actor_mlp")
    head, kind = (found["mu"], "gaussian") if "mu" in found else (found.get("logits", []), "discrete")
    central = _named(_shapes(root.get("assymetric_vf_nets")))
    own = _layers(central, "actor_mlp") if central else _layers(found, "critic_mlp")
    facts = Network(
        shapes,
        head,
        [*own, *_layers(central or found, "value")],
        trunk,
        "multi_discrete" if are_parallel(head) else kind,
        shares=not own,
    ).architecture()
    if own:
        facts = dataclasses.replace(facts, critic_hidden_dims=_widths(own))
    return _observed(_named_widths(facts, found, trunk), shapes)


def _named_widths(facts: Architecture, found: dict[str, Layers], trunk: Layers) -> Architecture:
    """The hidden layers by their name, also where inputs are handed past them and so no chain is left."""
    if trunk:
        return dataclasses.replace(facts, hidden_dims=_widths(trunk))
    if {name.partition(".")[0] for name in found} <= _HEADS:
        return facts
    untold = Fact(None, "undetermined", _CUSTOM)
    return dataclasses.replace(facts, hidden_dims=untold, obs_dim=untold)


def _widths(layers: Layers) -> Fact:
    return Fact(tuple(out for out, _ in layers), "shapes")


def _observed(facts: Architecture, shapes: Shapes) -> Architecture:
    """The observation's size by the statistics that it is scaled by, images and dicts of parts included."""
    means = [s for n, s in shapes.items() if n.startswith(_STATISTICS) and n.endswith("running_mean")]
    return dataclasses.replace(facts, obs_dim=Fact(sum(map(math.prod, means)), "shapes")) if means else facts


def _shapes(state: object) -> Shapes:
    """The model's tensors; a compiled one's names carry a prefix, a central value network's another."""
    return {_plain(name).removeprefix("model."): shape for name, shape in shapes_of(state).items()}


def _plain(name: object) -> str:
    return name.removeprefix(_COMPILED) if isinstance(name, str) else ""


def _named(shapes: Shapes) -> dict[str, Layers]:
    """The network's stacks by their names within it."""
    return {
        name.removeprefix(_PREFIX): layers
        for name, layers in stacks(shapes).items()
        if name.startswith(_PREFIX)
    }


def _layers(found: dict[str, Layers], name: str) -> Layers:
    """The layers of a part and of what lies within it."""
    return [layer for stack, rows in found.items() if f"{stack}.".startswith(f"{name}.") for layer in rows]


RL_GAMES = Recipe("rl_games", has_keys("model", "epoch", "frame"), parts, read)
