"""A graph of operations, as ONNX and torch.export write it: which weights follow which, and what lies between."""

from dataclasses import dataclass, field
from typing import Any

from app.checkpoint.layers import Shapes

NODE_COST = 20
"""What a node costs of `max_opcodes`, since it takes that much more memory than a field."""
_LINEAR = ("Gemm", "MatMul", "linear", "addmm", "mm", "matmul")
_RECURRENT = {"LSTM": ("lstm", 4), "GRU": ("gru", 3), "RNN": ("rnn", 1)}
_ACTIVATIONS = frozenset(
    {"tanh", "relu", "elu", "silu", "gelu", "selu", "leakyrelu", "sigmoid", "softplus", "mish", "swish"}
)
_PARAMETERS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


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
    metadata: dict[str, str] = field(default_factory=dict)
    """What the model says of itself, names to text; long texts are left out."""


def activation_of(graph: Graph) -> str | None:
    """The first activation among the operations."""
    for at, node in enumerate(graph.nodes):
        kind = node.kind.lower().rstrip("_")
        if kind == "sigmoid" and any(
            _multiplies(following, node) for following in graph.nodes[at + 1 : at + 3]
        ):
            return "silu"
        if kind in _ACTIVATIONS:
            return kind
    return None


def _multiplies(node: Node, gate: Node) -> bool:
    """Whether a node multiplies what went into a gate by what came out of it: x * sigmoid(x)."""
    return node.kind.lower() == "mul" and set(node.inputs) == {*gate.inputs[:1], *gate.outputs[:1]}


def recurrent_kind(node: Node, shapes: Shapes) -> tuple[str, int, int] | None:
    """(kind, width, inputs) of a recurrent operation with one direction, its stacked layers taken together.

    ONNX's W is [directions, gates x width, inputs], torch's [gates x width, inputs].
    """
    kind, gates = _RECURRENT.get(node.kind, ("", 0))
    shape = shapes.get(node.inputs[1]) if kind and len(node.inputs) > 1 else None
    if shape is not None and len(shape) == 3:
        return (kind, shape[1] // gates, shape[2]) if shape[0] == 1 else None
    if node.kind not in _PARAMETERS:
        return None
    weights = [shapes[name] for name in node.inputs if len(shapes.get(name, ())) == 2]
    is_plain = (
        weights and all(weight[1] == weights[1][1] for weight in weights[1:]) if len(weights) > 1 else False
    )
    return (node.kind.partition("_")[0], weights[1][1], weights[0][1]) if is_plain else None


def is_convolutional(graph: Graph) -> bool:
    """Whether a convolution is among the operations."""
    return any(node.kind.lower().startswith("conv") for node in graph.nodes)


def origins_of(graph: Graph, shapes: Shapes) -> dict[str, tuple[str, bool]]:
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


def linear_of(
    node: Node, origins: dict[str, tuple[str, bool]], shapes: Shapes
) -> tuple[int, int, str] | None:
    """(out, in, weight). Gemm and MatMul take [in, out], Gemm with transB and torch's linear [out, in]."""
    if node.kind not in _LINEAR:
        return None
    for name in node.inputs[1:3] if node.kind == "addmm" else node.inputs[:2]:
        weight, turned = origins.get(name, ("", False))
        shape = shapes.get(weight, ())
        if len(shape) != 2:
            continue
        is_first = name == node.inputs[0]
        by_output = node.kind == "linear" or bool(node.attributes.get("transA" if is_first else "transB"))
        rows_out = (by_output != turned) != is_first
        return (shape[0], shape[1], weight) if rows_out else (shape[1], shape[0], weight)
    return None
