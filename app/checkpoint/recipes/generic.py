"""Any state dict: actor and critic by their names, else the longest chain of linear layers."""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact, merge
from app.checkpoint.layers import Layers, Shapes, are_parallel, is_chain, shapes_of, stacks
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import NOWHERE, Parts, Recipe
from app.checkpoint.values import Array, Table, Tensor, fields_of

ACTOR_WORDS = ("actor", "policy", "action", "pi", "mu", "logits")
CRITIC_WORDS = ("critic", "value", "vf", "q", "v")
_STATE_KEYS = (
    "state_dict",
    "model_state_dict",
    "policy_state_dict",
    "model",
    "policy",
    "network",
    "actor_critic",
)
_MOST_LAYERS = 256
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
    return describe(shapes_of(found.state), found.config)


def describe(shapes: Shapes, config: Any, activation: str | None = None) -> Architecture:
    """The network of these tensors."""
    found = stacks(shapes)
    actor = named_stack(found, ACTOR_WORDS, CRITIC_WORDS)
    critic = named_stack(found, CRITIC_WORDS, ("actor",))
    is_named = bool(actor)
    if not actor:
        actor = longest_chain([layer for layers in found.values() for layer in layers])
    std = next((name for name in shapes if "log_std" in name or "logstd" in name or name == "std"), "")
    facts = Network(shapes, actor, critic, log_std=std, activation=activation).architecture(config)
    return facts if is_named or not actor else _guessed(facts)


def named_stack(found: dict[str, Layers], words: tuple[str, ...], unless: tuple[str, ...] = ()) -> Layers:
    """The layers of all stacks with one of these words, and none of `unless`, in their name, while they chain."""
    joined: Layers = []
    for name, layers in found.items():
        in_name = set(name.lower().replace(".", "_").split("_"))
        if in_name.isdisjoint(words) or not in_name.isdisjoint(unless):
            continue
        fits = len(joined) + len(layers) <= _MOST_LAYERS and is_chain([*joined, *layers])
        if fits or (not joined and are_parallel(layers)):
            joined = [*joined, *layers]
    return joined


def longest_chain(layers: Layers) -> Layers:
    """The longest run of layers in file order where each input is the output before; the first of equals."""
    best: Layers = []
    run: Layers = []
    for layer in layers:
        run = [*run, layer] if run and run[-1][0] == layer[1] and len(run) < _MOST_LAYERS else [layer]
        best = run if len(run) > len(best) else best
    return best


def separated(facts: Architecture, config: Any) -> Architecture:
    """The facts of a network whose actor and critic have a trunk each."""
    table = fields_of(config)
    said = table.get("shared_trunk") if table is not None else None
    return dataclasses.replace(facts, shared_trunk=merge(said if isinstance(said, bool) else None, False))


def _guessed(facts: Architecture) -> Architecture:
    """The facts of the longest chain: said to be no more than that."""
    note = "no layer is named an actor's: read from the longest chain of linear layers"
    names = ("hidden_dims", "action_dim", "obs_dim")
    noted = {name: getattr(facts, name) for name in names}
    told = {name: Fact(f.value, f.basis, f.note or note) for name, f in noted.items() if f.value is not None}
    return dataclasses.replace(facts, **told)


GENERIC = Recipe("unknown", lambda _: True, parts, read)
