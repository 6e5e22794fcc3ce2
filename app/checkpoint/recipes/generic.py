"""Any state dict: actor and critic by their names, else the longest chain of linear layers."""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, is_chain, merge, shapes_of, stacks
from app.checkpoint.recipes.recipe import Layers, Network, Parts, Recipe, Shapes
from app.checkpoint.values import Table, Tensor, fields_of

ACTOR_WORDS = ("actor", "policy", "action", "pi", "mu")
CRITIC_WORDS = ("critic", "value", "vf", "q")
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


def holds_tensors(value: Any) -> bool:
    """Whether a value is a dict with a tensor in it."""
    return isinstance(value, Table) and any(isinstance(item, Tensor) for _, item in value.pairs)


def parts(root: Any) -> Parts:
    """The state dict is the root itself, or stands under one of the usual keys."""
    if not isinstance(root, Table):
        return Parts(state=root)
    optimizer = next((key for key in _OPTIMIZER_KEYS if isinstance(root.get(key), Table)), "")
    path = (
        "" if holds_tensors(root) else next((key for key in _STATE_KEYS if holds_tensors(root.get(key))), "")
    )
    return Parts(
        weights_path=path,
        state=root.get(path) if path else root,
        optimizer_path=optimizer or "\0",
        optimizer=root.get(optimizer) if optimizer else None,
        config=root.get("config") or root.get("args") or root.get("cfg"),
        versions=root.get("versions"),
    )


def read(root: Any) -> Architecture:
    """The network as far as shapes and names tell it."""
    found = parts(root)
    return describe(shapes_of(found.state), found.config)


def describe(shapes: Shapes, config: Any) -> Architecture:
    """The network of these tensors."""
    found = stacks(shapes)
    actor = named_stack(found, ACTOR_WORDS)
    critic = named_stack(found, CRITIC_WORDS)
    if not actor:
        actor = longest_chain([layer for layers in found.values() for layer in layers])
    std = next((name for name in shapes if "log_std" in name or "logstd" in name or name == "std"), "")
    return Network(shapes, actor, critic, None, None, std).architecture(config)


def named_stack(found: dict[str, Layers], words: tuple[str, ...]) -> Layers:
    """The layers of all stacks with one of these words in their name, while they chain."""
    joined: Layers = []
    for name, layers in found.items():
        parts_of_name = name.lower().replace(".", "_").split("_")
        fits = len(joined) + len(layers) <= _MOST_LAYERS and is_chain([*joined, *layers])
        if fits and any(word in parts_of_name for word in words):
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


GENERIC = Recipe("unknown", lambda _: True, parts, read)
