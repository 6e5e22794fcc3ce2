"""Any state dict: actor and critic by their names, else the one chain of linear layers."""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact, merge
from app.checkpoint.layers import Layers, Shapes, shapes_of
from app.checkpoint.recipes.named_network import GUESSED, NamedNetwork, network_of
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import NOWHERE, Parts, Recipe
from app.checkpoint.recipes.said import Said
from app.checkpoint.values import Array, Table, Tensor, fields_of

_STATE_KEYS = (
    "state_dict",
    "model_state_dict",
    "policy_state_dict",
    "model",
    "policy",
    "network",
    "actor_critic",
)
_OPTIMIZER_KEYS = ("optimizer_state_dict", "optimizer", "optim")
_PROGRESS_KEYS = ("epoch", "iter", "iteration", "step", "global_step", "agent_step", "update", "frame")


def holds_tensors(value: Any) -> bool:
    """Whether a value is a dict with a tensor or array in it."""
    return isinstance(value, Table) and any(isinstance(item, (Tensor, Array)) for _, item in value.pairs)


def parts(root: Any) -> Parts:
    """The state dict is the root itself, or stands under one of the usual keys."""
    whole = fields_of(root)
    if whole is not None and "param_groups" in whole:
        return Parts(NOWHERE, None, "", root)
    if not isinstance(root, Table):
        return Parts(state=root)
    optimizer = next((key for key in _OPTIMIZER_KEYS if isinstance(root.get(key), Table)), "")
    held = next((key for key in _STATE_KEYS if holds_tensors(root.get(key))), "")
    path = "" if holds_tensors(root) else held
    return Parts(
        weights_path=path,
        state=root.get(path) if path else root,
        optimizer_path=optimizer or NOWHERE,
        optimizer=root.get(optimizer) if optimizer else None,
        config=root.get("config") or root.get("args") or root.get("cfg"),
        versions=root.get("versions"),
        progress=progress_of(root, _PROGRESS_KEYS),
    )


def progress_of(root: Table, keys: tuple[str, ...]) -> Table | None:
    """Those of the root's entries that are counters, by key; None where there is none."""
    found = {key: root.get(key) for key in keys if key in root}
    return Table.of(found) if found else None


def read(root: Any) -> Architecture:
    """The network as far as shapes and names tell it."""
    found = parts(root)
    return describe(shapes_of(found.state), found.config, tied=_tied(found.state))


def describe(
    shapes: Shapes, config: Any, activation: str | None = None, tied: frozenset[str] = frozenset()
) -> Architecture:
    """The network of these tensors; `tied` are names of tensors that an earlier name holds already."""
    found = network_of(shapes, tied)
    heads = [(out, found.actor[-1][1]) for out in found.heads]
    facts = Network(
        shapes,
        [] if found.problem else heads or found.actor,
        found.critic,
        (found.trunk or None) if not found.problem else None,
        "gaussian" if found.are_means else None,
        found.deviation,
        activation=activation,
    ).architecture(config)
    return _with_reasons(facts, found, Said(config), tied)


def _with_reasons(facts: Architecture, found: NamedNetwork, said: Said, tied: frozenset[str]) -> Architecture:
    """The facts with the reason of each that is not known, and those that rest on a guess said to."""
    hidden = None if found.problem else tuple(out for out, _ in _hidden(found))
    obs_dim = None if found.obs_problem else found.obs_dim
    changed = {
        "hidden_dims": merge(said.widths(), hidden, found.problem),
        "obs_dim": merge(said.whole("obs_dim", "num_observations"), obs_dim, found.obs_problem),
        "shared_trunk": _shared(found, said, tied),
        "critic_hidden_dims": merge(
            said.widths("critic_hidden_dims"),
            tuple(out for out, _ in found.critic[:-1]) if found.critic else None,
            found.critic_problem,
        ),
    }
    if found.problem:
        changed["actor_head"] = merge(None, None, found.problem)
        changed["action_dim"] = merge(said.whole("action_dim", "num_actions"), None, found.problem)
    if found.is_guess and not found.problem:
        told = ("hidden_dims", "obs_dim")
        changed |= {
            n: Fact(f.value, f.basis, f.note or GUESSED) for n in told if (f := changed[n]).value is not None
        }
    return dataclasses.replace(facts, **changed)


def _hidden(found: NamedNetwork) -> Layers:
    """The trunk where the actor has one before its head, and the actor's own layers otherwise."""
    return found.trunk or found.actor[:-1]


def _shared(found: NamedNetwork, said: Said, tied: frozenset[str]) -> Fact:
    """Whether the critic goes on from the trunk, or begins at the observation."""
    flag = said.flag("shared_trunk")
    if tied:
        return merge(flag, True)
    if found.problem or not found.critic or found.obs_dim is None:
        return merge(flag, None, found.problem or found.critic_problem)
    width, inputs = (found.trunk[-1][0] if found.trunk else None), found.critic[0][1]
    if (inputs == width) == (inputs == found.obs_dim):
        return merge(flag, None, "the widths do not say where the critic begins")
    return merge(flag, inputs == width)


def _tied(state: Any) -> frozenset[str]:
    """Names of weights that view the same values as an earlier name."""
    seen: set[tuple[Any, ...]] = set()
    found: set[str] = set()
    for name, value in state.index().items() if isinstance(state, Table) else ():
        if isinstance(value, Tensor) and isinstance(name, str):
            key = (value.storage.key, value.offset, value.shape, value.stride)
            if key in seen:
                found.add(name)
            seen.add(key)
    return frozenset(found)


def separated(facts: Architecture, config: Any) -> Architecture:
    """The facts of a network whose actor and critic have a trunk each."""
    table = fields_of(config)
    said = table.get("shared_trunk") if table is not None else None
    return dataclasses.replace(facts, shared_trunk=merge(said if isinstance(said, bool) else None, False))


GENERIC = Recipe("unknown", lambda _: True, parts, read)
