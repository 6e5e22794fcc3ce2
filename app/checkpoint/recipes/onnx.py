"""ONNX and torch.export: the network by the graph of operations, whatever its tensors are called."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from app.checkpoint.architecture import Architecture, Fact, merge
from app.checkpoint.flows import Path, paths
from app.checkpoint.graph import Graph, activation_of, is_convolutional
from app.checkpoint.layers import Shapes, shapes_of
from app.checkpoint.recipes import generic
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.output_roles import Roles, roles_of
from app.checkpoint.recipes.part_names import MEAN, is_deviation, words_of
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_NO_CELL = "there is no recurrent layer on the way to the action"


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
    seen = activation_of(graph)
    if not graph.nodes:
        return generic.describe(shapes, None, seen)
    roles = roles_of([path for path in paths(graph, shapes) if path.linear])
    if roles.actor is None:
        return _undetermined(shapes, roles, seen, graph)
    problem = roles.problem or roles.actor.flow.problem
    facts = _network(shapes, roles, seen, is_known=not problem).architecture()
    facts = dataclasses.replace(facts, **_facts_of(graph, roles, roles.actor, problem))
    return dataclasses.replace(facts, **_action(facts, roles)) if not problem else facts


def _facts_of(graph: Graph, roles: Roles, actor: Path, problem: str) -> dict[str, Fact]:
    """What the graph says better than shapes: the first layer, the recurrent one, convolutions."""
    cell, obs_problem = actor.cell, roles.problem or actor.flow.obs_problem
    told = {
        "convolutional": Fact(is_convolutional(graph), "graph"),
        "recurrent": Fact(cell is not None, "graph"),
        "recurrent_kind": Fact(cell.weight, "graph") if cell else merge(None, None, _NO_CELL),
        "recurrent_dim": Fact(cell.out, "graph") if cell else merge(None, None, _NO_CELL),
        "obs_dim": merge(None, None if obs_problem else actor.steps[0].inputs, obs_problem),
    }
    if problem:
        unknown = ("hidden_dims", "action_dim", "action_kind", "actor_head", "shared_trunk")
        return told | {name: merge(None, None, problem) for name in unknown}
    hidden = actor.layers[: _shared_layers(actor, roles.critic) or len(actor.layers) - 1]
    return told | {"hidden_dims": Fact(tuple(out for out, _ in hidden), "shapes")}


def _network(shapes: Shapes, roles: Roles, seen: str | None, *, is_known: bool) -> Network:
    """Layers that both ways have in common are the trunk."""
    actor, critic = roles.actor, roles.critic
    if actor is None or not is_known:
        return Network({}, [], [], activation=seen)
    own = critic.layers if critic and not critic.flow.problem else []
    shared = _shared_layers(actor, critic)
    std = _deviation(shapes, roles)
    if shared:
        return Network(
            shapes, actor.layers[shared:], own[shared:], actor.layers[:shared], None, std, activation=seen
        )
    return Network(shapes, actor.layers, own, log_std=std, activation=seen)


def _shared_layers(actor: Path, critic: Path | None) -> int:
    """How many linear layers two ways have in common, the heads not among them."""
    ours, theirs = actor.linear, critic.linear if critic and not critic.flow.problem else ()
    most = min(len(ours), len(theirs)) - 1
    return next((at for at in range(max(0, most)) if ours[at].weight != theirs[at].weight), max(0, most))


def _deviation(shapes: Shapes, roles: Roles) -> str:
    """A parameter with a deviation for each output."""
    outputs = roles.actor.layers[-1][0] if roles.actor else 0
    fits = (n for n, s in shapes.items() if is_deviation(n) and len(s) <= 2 and math.prod(s) in (1, outputs))
    return next(fits, "")


def _action(facts: Architecture, roles: Roles) -> dict[str, Fact]:
    """What the outputs are, where probabilities, names or deviations beside them tell it."""
    actor = roles.actor
    if actor is None:
        return {}
    outputs, last, flow = actor.layers[-1][0], actor.linear[-1].weight, actor.flow
    if flow.is_choice:
        return {"action_dim": Fact(outputs, "graph"), "action_kind": Fact("discrete", "graph")}
    if flow.is_cut or flow.is_reshaped or flow.is_pooled:
        note = f"{outputs} outputs, which the graph takes apart or orders anew"
        return {name: merge(None, None, note) for name in ("action_dim", "action_kind")}
    deviation = roles.deviation
    is_mean = bool(words_of(f"{actor.output}.{last.rpartition('.')[0]}") & MEAN)
    has_deviation = (
        deviation is not None
        and deviation.layers[-1][0] == outputs
        and deviation.linear[-1] is not actor.linear[-1]
    )
    if facts.action_kind.value == "gaussian" or is_mean or has_deviation:
        return {"action_dim": Fact(outputs, "shapes"), "action_kind": Fact("gaussian", "graph")}
    return {}


def _undetermined(shapes: Shapes, roles: Roles, seen: str | None, graph: Graph) -> Architecture:
    """No output is known to be the action's."""
    facts = Network({}, [], [], activation=seen).architecture()
    names = ("obs_dim", "hidden_dims", "action_dim", "action_kind", "actor_head", "shared_trunk")
    told = {name: merge(None, None, roles.problem) for name in names}
    network = Network(shapes, [], []).architecture()
    return dataclasses.replace(
        facts,
        **told,
        layer_norm=network.layer_norm,
        convolutional=Fact(is_convolutional(graph), "graph"),
        **({"critic_hidden_dims": merge(None, _widths(roles.critic))} if roles.critic else {}),
    )


def _widths(path: Path) -> tuple[int, ...] | None:
    return None if path.flow.problem else tuple(out for out, _ in path.layers[:-1])


def _versions(graph: Graph) -> Any:
    said = graph.producer if isinstance(graph.producer, dict) else {}
    return Table.of({str(name): value for name, value in said.items()})


ONNX = Recipe("onnx", _is_graph("onnx"), parts, read)
TORCH_EXPORT = Recipe("torch-export", _is_graph("torch-export"), parts, read)
