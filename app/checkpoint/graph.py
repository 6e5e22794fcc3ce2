"""A graph of operations, as ONNX and torch.export write it: which weights follow which, and what lies between."""

from dataclasses import dataclass, field
from typing import Any

from app.checkpoint.layers import Layers, Shapes

_LINEAR = ("Gemm", "MatMul", "linear", "addmm", "mm", "matmul")
_RECURRENT = {"LSTM": ("lstm", 4), "GRU": ("gru", 3), "RNN": ("rnn", 1)}
_ACTIVATIONS = frozenset(
    {"tanh", "relu", "elu", "silu", "gelu", "selu", "leakyrelu", "sigmoid", "softplus", "mish", "swish"}
)
_MOST_STEPS = 20_000
_MOST_OUTPUTS = 16


@dataclass(slots=True, eq=False)
class Node:
    """One operation."""

    kind: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Graph:
    """Operations in order, and the sizes of what goes in and comes out."""

    format: str
    nodes: list[Node] = field(default_factory=list)
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    producer: Any = None


@dataclass(frozen=True, slots=True)
class Path:
    """The linear layers from an input to one output, as (out, in), with the names of their weights."""

    output: str
    layers: Layers
    weights: tuple[str, ...]


def paths(graph: Graph, shapes: Shapes) -> list[Path]:
    """For each output of the graph, the layers on the way to it; the first of several ways where it branches."""
    made_by = {name: node for node in graph.nodes for name in node.outputs if name}
    origins = _origins(graph, shapes)
    return [_path(name, made_by, origins, shapes) for name in list(graph.outputs)[:_MOST_OUTPUTS]]


def activation_of(graph: Graph) -> str | None:
    """The first activation among the operations."""
    kinds = (node.kind.lower().rstrip("_") for node in graph.nodes)
    return next((kind for kind in kinds if kind in _ACTIVATIONS), None)


def recurrent_of(graph: Graph, shapes: Shapes) -> tuple[str, int, int] | None:
    """(kind, width, inputs) of the first recurrent operation; its W is [directions, gates x width, inputs]."""
    for node in graph.nodes:
        kind, gates = _RECURRENT.get(node.kind, ("", 0))
        shape = shapes.get(node.inputs[1]) if kind and len(node.inputs) > 1 else None
        if shape is not None and len(shape) == 3:
            return kind, shape[1] // gates, shape[2]
    return None


def is_convolutional(graph: Graph) -> bool:
    """Whether a convolution is among the operations."""
    return any(node.kind.lower().startswith("conv") for node in graph.nodes)


def _origins(graph: Graph, shapes: Shapes) -> dict[str, tuple[str, bool]]:
    """Every value that is a weight, by name: the weight, and whether it stands transposed."""
    found = {name: (name, False) for name in shapes}
    for node in graph.nodes:
        kind = node.kind.lower()
        if node.inputs and node.inputs[0] in found and node.outputs:
            name, turned = found[node.inputs[0]]
            if kind in ("transpose", "t", "permute"):
                found[node.outputs[0]] = (name, not turned)
            elif kind in ("identity", "cast", "dequantizelinear"):
                found[node.outputs[0]] = (name, turned)
    return found


def _path(
    output: str, made_by: dict[str, Node], origins: dict[str, tuple[str, bool]], shapes: Shapes
) -> Path:
    layers: Layers = []
    weights: list[str] = []
    value, seen, steps = output, set[str](), 0
    while value in made_by and value not in seen and steps < _MOST_STEPS:
        seen.add(value)
        steps += 1
        node = made_by[value]
        layer = _linear(node, origins, shapes)
        if layer is not None:
            layers.insert(0, layer[:2])
            weights.insert(0, layer[2])
        value = next((name for name in node.inputs if name and name not in origins), "")
    return Path(output, layers, tuple(weights))


def _linear(node: Node, origins: dict[str, tuple[str, bool]], shapes: Shapes) -> tuple[int, int, str] | None:
    """(out, in, weight). Gemm and MatMul take [in, out], Gemm with transB and torch's linear [out, in]."""
    if node.kind not in _LINEAR:
        return None
    for name in node.inputs:
        weight, turned = origins.get(name, ("", False))
        shape = shapes.get(weight, ())
        if len(shape) != 2:
            continue
        is_first = name == node.inputs[0]
        by_output = node.kind == "linear" or bool(node.attributes.get("transA" if is_first else "transB"))
        rows_out = (by_output != turned) != is_first
        return (shape[0], shape[1], weight) if rows_out else (shape[1], shape[0], weight)
    return None
