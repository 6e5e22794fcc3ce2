"""ONNX and torch.export: the network by the graph of operations, whatever its tensors are called."""

import dataclasses
from collections.abc import Callable
from typing import Any

from app.checkpoint.architecture import Architecture, Fact, merge
from app.checkpoint.graph import Graph, Path, activation_of, is_convolutional, paths, recurrent_of
from app.checkpoint.layers import Shapes, is_chain, shapes_of
from app.checkpoint.recipes import generic
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_ACTOR = ("actor", "policy", "action", "logits", "mu", "mean", "pi")
_CRITIC = ("critic", "value", "vf")
_STD = ("log_std", "logstd", "std", "sigma")


def _is_graph(kind: str) -> Callable[[Any], bool]:
    """Whether a reader of graphs left one of this kind with the tensors."""
    return lambda root: (
        isinstance(root, Table) and isinstance(root.attributes, Graph) and root.attributes.format == kind
    )


def parts(root: Table) -> Parts:
    """The initialisers are the state dict; the graph says what wrote it."""
    return Parts(state=root, versions=_versions(root.attributes))


def read(root: Table) -> Architecture:
    """The way to the action's output is the actor, the one to the value's the critic."""
    graph: Graph = root.attributes
    shapes = shapes_of(root)
    found = [path for path in paths(graph, shapes) if path.layers]
    actor, critic = _roles(found)
    seen = activation_of(graph)
    if actor is None:
        return generic.describe(shapes, None, seen)
    facts = _network(shapes, actor, critic, seen).architecture()
    facts = dataclasses.replace(facts, convolutional=Fact(is_convolutional(graph), "graph"))
    return _with_recurrence(facts, graph, shapes, actor)


def _network(shapes: Shapes, actor: Path, critic: Path | None, seen: str | None) -> Network:
    """Layers that both ways have in common are the trunk."""
    std = next((name for name in shapes if any(word in name.lower() for word in _STD)), "")
    shared = 0
    if critic is not None:
        pairs = zip(actor.weights[:-1], critic.weights[:-1], strict=False)
        shared = next(
            (at for at, (a, b) in enumerate(pairs) if a != b),
            min(len(actor.weights), len(critic.weights)) - 1,
        )
    if shared:
        own = critic.layers[shared:] if critic else []
        return Network(shapes, actor.layers[shared:], own, actor.layers[:shared], None, std, activation=seen)
    own = critic.layers if critic else []
    return Network(shapes, actor.layers, own, log_std=std, activation=seen)


def _roles(found: list[Path]) -> tuple[Path | None, Path | None]:
    """(actor, critic): by the names of outputs and weights, else the one value is the critic's."""
    if len(found) < 2:
        return (found[0], None) if found else (None, None)
    actor = next((path for path in found if _is_named(path, _ACTOR)), None)
    critic = next((path for path in found if path is not actor and _is_named(path, _CRITIC)), None)
    rest = [path for path in found if path not in (actor, critic)]
    if critic is None:
        critic = next((path for path in rest if path.layers[-1][0] == 1), None)
    rest = [path for path in rest if path is not critic]
    if actor is None:
        actor = rest[0] if rest else None
    return actor, critic


def _is_named(path: Path, words: tuple[str, ...]) -> bool:
    text = f"{path.output}.{path.weights[-1]}".lower().replace("/", ".").replace("_", ".").replace(":", ".")
    return not set(text.split(".")).isdisjoint(words)


def _with_recurrence(facts: Architecture, graph: Graph, shapes: Shapes, actor: Path) -> Architecture:
    """The recurrent operation of ONNX, whose weights have three dimensions."""
    cell = recurrent_of(graph, shapes)
    if cell is None:
        return facts
    kind, width, inputs = cell
    first = not actor.layers or actor.layers[0][1] == width or not is_chain(actor.layers)
    return dataclasses.replace(
        facts,
        recurrent=Fact(True, "graph"),
        recurrent_kind=Fact(kind, "graph"),
        recurrent_dim=Fact(width, "graph"),
        obs_dim=merge(None, inputs) if first else Fact(actor.layers[0][1], "shapes"),
        hidden_dims=Fact(tuple(out for out, _ in actor.layers[:-1]), "shapes"),
    )


def _versions(graph: Graph) -> Any:
    said = graph.producer if isinstance(graph.producer, dict) else {}
    return Table.of({str(name): value for name, value in said.items()})


ONNX = Recipe("onnx", _is_graph("onnx"), parts, read)
TORCH_EXPORT = Recipe("torch-export", _is_graph("torch-export"), parts, read)
