"""What stands in a Caliper policy's ONNX file: the graph of NativeActorCritic.forward, its weights left open.

    observations [batch, obs_dim]
      └ Sub, Mul, Clip                 where norm_obs scales observations
        └ trunk: Gemm (LayerNormalization) activation, once per layer; or one trunk each
          ├ actor:  Gemm activation Gemm           -> logits [batch, A], or mean [batch, A] beside log_std [A]
          └ critic: Gemm activation Gemm           -> value [batch, 1]

Field numbers of onnx/onnx.proto, in the order in which protobuf's own libraries write them. Initialisers keep the
names of the state dict. Weights are [out, in], hence Gemm with transB.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.network.config import Activation
from app.network.disk.file_layout import Layout, TensorBytes
from app.network.disk.pickle_size import TensorSpec
from app.network.disk.protobuf_fields import bytes_field, integer_field, layout_field, text_field
from app.network.shape import NetworkShape

IR_VERSION, OPSET = 8, 17
"""The oldest that know LayerNormalization: onnx 1.12, June 2022."""

MOST_BYTES = (1 << 31) - 1
"""Largest protobuf message that its libraries read; an ONNX file with its weights inside is one message."""

OBSERVATION_CLIP = 10.0
"""Normalised observations are held within ± this, as worker.ppo.normalisation has it."""

OBS_MEAN, OBS_SCALE = "obs_normaliser.mean", "obs_normaliser.scale"
"""Initialisers that scale observations: (observations - mean) * scale."""

_FLOAT = 1  # TensorProto.DataType
_ACTIVATION_NODES = {"tanh": "Tanh", "relu": "Relu", "elu": "Elu"}
_CLIP_LOW, _CLIP_HIGH = "obs_normaliser.low", "obs_normaliser.high"


def onnx_layout(
    shape: NetworkShape, activation: Activation, *, norm_obs: bool, metadata: Mapping[str, str]
) -> Layout:
    """The parts of the file; tensors by their names in the state dict, and OBS_MEAN and OBS_SCALE.

    May be larger than MOST_BYTES: whoever writes it must refuse that.
    """
    graph = _build_graph(shape, activation, norm_obs=norm_obs)
    props = b"".join(bytes_field(14, text_field(1, k) + text_field(2, v)) for k, v in metadata.items())
    return (
        integer_field(1, IR_VERSION) + text_field(2, "caliper"),
        *layout_field(7, *graph),
        bytes_field(8, text_field(1, "") + integer_field(2, OPSET)) + props,
    )


@dataclass(slots=True)
class _Graph:
    """The graph as far as it is built: nodes, initialisers, and the value that the last node gave."""

    nodes: list[bytes] = field(default_factory=list)
    initialisers: list[Layout] = field(default_factory=list)

    def node(self, kind: str, output: str, *inputs: str, **flags: int) -> str:
        """Add an operation; returns its output."""
        attributes = b"".join(
            bytes_field(5, text_field(1, name) + integer_field(3, value) + integer_field(20, 2))
            for name, value in flags.items()
        )
        named = b"".join(text_field(1, name) for name in inputs) + text_field(2, output)
        self.nodes.append(bytes_field(1, named + text_field(3, output) + text_field(4, kind) + attributes))
        return output

    def tensor(self, name: str, size: tuple[int, ...]) -> None:
        """Add an initialiser whose values are filled in later."""
        values = layout_field(9, TensorBytes(name, TensorSpec(size).nbytes))
        self.initialisers.append(layout_field(5, _tensor_head(name, size), *values))

    def constant(self, name: str, value: float) -> str:
        """Add an initialiser of one known value; returns its name."""
        values = bytes_field(9, struct.pack("<f", value))
        self.initialisers.append((bytes_field(5, _tensor_head(name, ()) + values),))
        return name


def _build_graph(shape: NetworkShape, activation: Activation, *, norm_obs: bool) -> Layout:
    graph = _Graph()
    for name, size in shape.tensors:
        graph.tensor(name, size)
    seen = _normalise(graph, shape.obs_dim) if norm_obs else "observations"
    trunks = ("trunk", "trunk") if shape.shared_trunk else ("actor_trunk", "critic_trunk")
    latent = {name: _trunk(graph, name, seen, shape, activation) for name in dict.fromkeys(trunks)}
    policy = "logits" if shape.action_kind == "discrete" else "mean"
    _head(graph, "actor", latent[trunks[0]], policy, activation)
    _head(graph, "critic", latent[trunks[1]], "value", activation)
    outputs = [_value_info(12, policy, "batch", shape.action_dim)]
    if shape.action_kind == "gaussian":  # the initialiser is the output: it depends on no observation
        outputs.append(_value_info(12, "log_std", shape.action_dim))
    outputs.append(_value_info(12, "value", "batch", 1))
    inputs = _value_info(11, "observations", "batch", shape.obs_dim)
    weights = (part for initialiser in graph.initialisers for part in initialiser)
    head = b"".join(graph.nodes) + text_field(2, "NativeActorCritic")
    return (head, *weights, inputs + b"".join(outputs))


def _normalise(graph: _Graph, obs_dim: int) -> str:
    """(observations - mean) * scale, held within ±OBSERVATION_CLIP."""
    for name in (OBS_MEAN, OBS_SCALE):
        graph.tensor(name, (obs_dim,))
    low = graph.constant(_CLIP_LOW, -OBSERVATION_CLIP)
    high = graph.constant(_CLIP_HIGH, OBSERVATION_CLIP)
    centred = graph.node("Sub", "centred", "observations", OBS_MEAN)
    return graph.node("Clip", "normalised", graph.node("Mul", "scaled", centred, OBS_SCALE), low, high)


def _trunk(graph: _Graph, name: str, value: str, shape: NetworkShape, activation: Activation) -> str:
    stride = 3 if shape.layer_norm else 2
    for index in range(len(shape.hidden_dims)):
        value = _linear(graph, f"{name}.{index * stride}", value)
        if shape.layer_norm:  # axis -1 and epsilon 1e-5 are the defaults of ONNX and of torch
            norm = f"{name}.{index * stride + 1}"
            value = graph.node("LayerNormalization", norm, value, f"{norm}.weight", f"{norm}.bias")
        value = _activate(graph, f"{name}.{index * stride + stride - 1}", value, activation)
    return value


def _head(graph: _Graph, name: str, value: str, output: str, activation: Activation) -> None:
    value = _activate(graph, f"{name}.1", _linear(graph, f"{name}.0", value), activation)
    _linear(graph, f"{name}.2", value, output)


def _linear(graph: _Graph, name: str, value: str, output: str = "") -> str:
    return graph.node("Gemm", output or name, value, f"{name}.weight", f"{name}.bias", transB=1)


def _activate(graph: _Graph, output: str, value: str, activation: Activation) -> str:
    if activation == "silu":
        return graph.node("Mul", output, value, graph.node("Sigmoid", f"{output}.sigmoid", value))
    return graph.node(_ACTIVATION_NODES[activation], output, value)


def _tensor_head(name: str, size: tuple[int, ...]) -> bytes:
    return b"".join(integer_field(1, each) for each in size) + integer_field(2, _FLOAT) + text_field(8, name)


def _value_info(number: int, name: str, *sizes: int | str) -> bytes:
    """A graph's input or output: float32 with these sizes, those that vary by name."""
    dims = (integer_field(1, size) if isinstance(size, int) else text_field(2, size) for size in sizes)
    shape = b"".join(bytes_field(1, dim) for dim in dims)
    tensor = integer_field(1, _FLOAT) + bytes_field(2, shape)
    return bytes_field(number, text_field(1, name) + bytes_field(2, bytes_field(1, tensor)))
