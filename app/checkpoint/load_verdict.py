"""Whether the weights of one checkpoint load into the network of another, and what torch would say if not.

The rules and the wording are those of torch.nn.Module.load_state_dict(strict=True), torch 2.13
(torch/nn/modules/module.py, _load_from_state_dict): missing keys in the network's order, unexpected ones
module by module, sizes last. Which modules without tensors stand between, such as activations, a file of
state_dict() lists; without such a list those within a Sequential show by the gaps in its numbers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from app.checkpoint.alignment import Pair, sizes
from app.network.shape import DOCUMENTED

Shapes = Mapping[str, tuple[int, ...]]
_EXTRA_STATE = "_extra_state"
_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")
"""A child of a Sequential; longer numbers are names."""


@dataclass(frozen=True, slots=True)
class SizeMismatch:
    """A tensor that both sides have, with another shape."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Its key in the state dict."""
    weights: tuple[int, ...]
    """Its shape in the right file, whose weights are to be loaded."""
    network: tuple[int, ...]
    """Its shape in the network of the left file."""


@dataclass(frozen=True, slots=True)
class Rename:
    """A key of the right's weights and the key under which the left's network wants them."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    right: str
    """The key as it is."""
    left: str
    """The key as it must be."""


@dataclass(frozen=True, slots=True)
class LoadVerdict:
    """Whether the right's weights load into the left's network with `load_state_dict(strict=True)`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    loads: bool
    """Whether they load as they are."""
    loads_renamed: bool
    """Whether they load once their keys are renamed as `renames` says: every layer has its counterpart."""
    missing: tuple[str, ...]
    """Keys that the left's network wants and the right's weights lack, in torch's order."""
    unexpected: tuple[str, ...]
    """Keys of the right's weights that the left's network does not have, in torch's order."""
    resized: tuple[SizeMismatch, ...]
    """Keys that both have with different shapes, in torch's order."""
    renames: tuple[Rename, ...]
    """How keys would be renamed, where that makes the weights load; empty otherwise."""
    message: str
    """What torch would raise, without its first line, which names the module's class; empty where it loads."""
    explanation: str
    """The verdict in words."""


def judge_loading(
    network: Shapes, weights: Shapes, pairs: Sequence[Pair] = (), modules: Sequence[str] = ()
) -> LoadVerdict:
    """Judge whether `weights` load into the network that has the state dict `network`.

    `pairs` are the layers of network and weights side by side, by which keys would be renamed; `modules` the
    network's modules in order, with "" for the network itself where the list is whole.
    """
    missing = tuple(name for name in network if name not in weights and not _is_optional(name))
    unexpected = tuple(_unexpected(network, weights, modules))
    resized = tuple(
        SizeMismatch(name, weights[name], shape)
        for name, shape in network.items()
        if name in weights and not _fits(weights[name], shape)
    )
    loads = bool(network) and bool(weights) and not (missing or unexpected or resized)
    renames = () if loads else _renames(network, weights, pairs)
    return LoadVerdict(
        loads=loads,
        loads_renamed=loads or bool(renames),
        missing=missing,
        unexpected=unexpected,
        resized=resized,
        renames=renames,
        message=_message(missing, unexpected, resized),
        explanation=_explain(missing, unexpected, resized, loads=loads, renamed=bool(renames)),
    )


def _is_optional(name: str) -> bool:
    """A batch normalisation adds its counter to weights that lack it, as those before torch 0.4.1 do."""
    return name.rpartition(".")[2] == "num_batches_tracked"


def _fits(weight: tuple[int, ...], parameter: tuple[int, ...]) -> bool:
    """Torch takes a vector of one value for a scalar, as files before torch 0.4 have it."""
    return weight == parameter or (parameter == () and weight == (1,))


def _unexpected(network: Shapes, weights: Shapes, listed: Sequence[str]) -> Iterator[str]:
    """Torch's order: each module names its own foreign keys before its children do, extra state first."""
    foreign = [name for name in weights if name not in network]
    modules = _modules(network, listed)
    at: dict[str, list[str]] = {}
    for name in foreign:
        at.setdefault(_deepest(name, modules), []).append(name)
    for module in modules:
        extra = f"{module}.{_EXTRA_STATE}" if module else _EXTRA_STATE
        yield from sorted(at.get(module, []), key=lambda name: name != extra)


def _modules(network: Shapes, listed: Sequence[str]) -> dict[str, None]:
    """All modules that are known, parents before children, in order."""
    children: dict[str, dict[str, None]] = {"": {}}
    own = [name.rpartition(".")[0] for name in network]
    is_whole = "" in listed
    for path in (*listed, *own) if is_whole else (*own, *listed):
        _enter(path, children)
    if not is_whole:
        children.update({parent: _without_gaps(parent, found) for parent, found in children.items()})
    ordered: dict[str, None] = {}
    waiting = [""]
    while waiting:
        module = waiting.pop()
        ordered[module] = None
        waiting.extend(reversed(children.get(module, {})))
    return ordered


def _enter(path: str, children: dict[str, dict[str, None]]) -> None:
    """Enter a module and those that it lies in, each with its parent."""
    while path and path not in children.get(parent := path.rpartition(".")[0], {}):
        children.setdefault(path, {})
        children.setdefault(parent, {})[path] = None
        path = parent


def _without_gaps(parent: str, found: dict[str, None]) -> dict[str, None]:
    """A Sequential's children, those without tensors too: their names count from 0."""
    numbers = [child.rpartition(".")[2] for child in found]
    if not numbers or not all(_INDEX.fullmatch(number) for number in numbers):
        return found
    whole = [int(number) for number in numbers]
    if whole != sorted(whole):
        return found
    prefix = f"{parent}." if parent else ""
    return {f"{prefix}{number}": None for number in range(whole[-1] + 1)}


def _deepest(name: str, modules: Mapping[str, None]) -> str:
    """The innermost known module that a key lies in."""
    module = name.rpartition(".")[0]
    while module and module not in modules:
        module = module.rpartition(".")[0]
    return module


def _renames(network: Shapes, weights: Shapes, pairs: Sequence[Pair]) -> tuple[Rename, ...]:
    """New keys for all weights, where layer by layer everything has a counterpart of its own shape."""
    keys: dict[str, str] = {}
    for left, right in pairs:
        if left is None or right is None or left.shapes.keys() != right.shapes.keys():
            return ()
        for leaf in left.tensors:
            keys[_key(right.name, leaf, weights)] = _key(left.name, leaf, network)
    complete = set(keys) == set(weights) and set(keys.values()) == set(network)
    if (
        not keys
        or not complete
        or not all(_fits(weights[right], network[left]) for right, left in keys.items())
    ):
        return ()
    return tuple(Rename(right, left) for right, left in keys.items() if right != left)


def _key(layer: str, leaf: str, shapes: Shapes) -> str:
    """A bare parameter is a layer of its own name."""
    return f"{layer}.{leaf}" if f"{layer}.{leaf}" in shapes else layer


def _message(missing: tuple[str, ...], unexpected: tuple[str, ...], resized: tuple[SizeMismatch, ...]) -> str:
    lines: list[str] = []
    for kind, names in (("Missing", missing), ("Unexpected", unexpected)):
        if names:
            quoted = ", ".join(f'"{name}"' for name in names)
            lines.append(f"{kind} key(s) in state_dict: {quoted}. ")
    lines += [
        f"size mismatch for {entry.name}: copying a param with shape {_torch_size(entry.weights)} from "
        f"checkpoint, the shape in current model is {_torch_size(entry.network)}."
        for entry in resized
    ]
    return "\n".join(f"\t{line}" for line in lines)


def _torch_size(shape: tuple[int, ...]) -> str:
    return f"torch.Size([{', '.join(map(str, shape))}])"


def _explain(
    missing: tuple[str, ...],
    unexpected: tuple[str, ...],
    resized: tuple[SizeMismatch, ...],
    *,
    loads: bool,
    renamed: bool,
) -> str:
    if loads:
        return "the weights load: every tensor has its counterpart of the same shape"
    if renamed:
        return (
            "the weights load once their keys are renamed: every layer has its counterpart of the same shape"
        )
    why = [f"{len(missing)} tensors only in the left file"] if missing else []
    why += [f"{len(unexpected)} only in the right one"] if unexpected else []
    if resized:
        first = resized[0]
        shapes = f"{sizes(first.network)} against {sizes(first.weights)}"
        why.append(f"{len(resized)} of another shape, first {first.name}: {shapes}")
    return "the weights do not load: " + (", ".join(why) or "the files share no tensor")
