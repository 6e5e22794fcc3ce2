"""ElegantRL: whole pickled modules, act.pth and cri.pth, each of a `net` Sequential, and whole optimizers.

An actor has `state_avg` and `state_std` to normalise by, and `action_std_log` where it is Gaussian; the class of a
discrete one says so. Learned with version 0.3.6.
"""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import shapes_of, stacks
from app.checkpoint.recipes.modules import activation_of, class_name, state_of
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Made, Table, Tensor

_STATISTICS = ("state_avg", "state_std")
_CRITIC = "it is the critic's file; the action stands in act.pth"


def recognise(root: Any) -> bool:
    """Whether the root is a module of ElegantRL, or a folder of them."""
    return class_name(_actor(root)).startswith("elegantrl.")


def parts(root: Any) -> Parts:
    """The actor's gathered state dict; in a folder the optimizer lies beside it."""
    actor = _actor(root)
    state = state_of(actor)
    statistics = [(n, v) for n, v in state.pairs if n in _STATISTICS and isinstance(v, Tensor)]
    folder = isinstance(root, Table)
    return Parts(
        weights_path="act.pth" if folder else "",
        state=state,
        optimizer_path="act_optimizer.pth",
        optimizer=root.get("act_optimizer.pth") if folder else None,
        normaliser=Table(statistics) if statistics else None,
        **({"critic_path": "cri.pth"} if folder else {}),
    )


def read(root: Any) -> Architecture:
    """The `net` of the actor, and of the critic where the folder has both."""
    actor = _actor(root)
    shapes = shapes_of(state_of(actor))
    critic = (
        stacks(shapes_of(state_of(root.get("cri.pth")))).get("net", []) if isinstance(root, Table) else []
    )
    name = class_name(actor).rpartition(".")[2]
    layers = stacks(shapes).get("net", [])
    kind = "discrete" if "Discrete" in name else None
    network = Network(
        shapes, layers, critic, None, kind, "action_std_log", shares=False if critic else None,
        activation=activation_of(actor),
    )  # fmt: skip
    facts = network.architecture()
    if not name.startswith("Critic"):
        return facts
    own = Fact(None, "undetermined", _CRITIC)
    return dataclasses.replace(facts, action_dim=own, action_kind=own, actor_head=own)


def with_activation(facts: Architecture, seen: str | None) -> Architecture:
    """The facts with an activation that the classes show."""
    return dataclasses.replace(facts, activation=Fact(seen, "graph")) if seen else facts


def _actor(root: Any) -> Any:
    """The module itself, or the actor's of a folder."""
    actor = root.get("act.pth") if isinstance(root, Table) else root
    return actor if isinstance(actor, Made) and actor.is_new else None


ELEGANTRL = Recipe("elegantrl", recognise, parts, read)
