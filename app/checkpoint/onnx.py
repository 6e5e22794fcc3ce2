"""ONNX: the graph's nodes and initialisers, read from the protobuf by hand; the weights are passed over.

Field numbers of onnx/onnx.proto (IR version 3 to 13): ModelProto, GraphProto, NodeProto, AttributeProto,
TensorProto. Why by hand: docs/decisions/0011-onnx-by-hand.md.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from app.checkpoint.contents import Contents, Context
from app.checkpoint.graph import NODE_COST, Graph, Node
from app.checkpoint.names import TORCH_DTYPES
from app.checkpoint.protobuf import BYTES, Field, Message
from app.checkpoint.source import Source
from app.checkpoint.values import Storage, Table, Tensor
from app.errors import UnreadableCheckpoint

DTYPES: dict[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
}
"""The name of each TensorProto.DataType that has a fixed width of whole bytes."""

_FIRST_TAGS = frozenset((0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42))
_FLOATS, _INT32, _STRINGS, _INT64, _RAW, _DOUBLES, _UINT64 = 4, 5, 6, 7, 9, 10, 11
_VALUE_BYTES = {_FLOATS: 4, _DOUBLES: 8}
_MOST_DEPTH = 8
_OPSETS = 8
_METADATA = 14
_SIGN = 1 << 63


@dataclass(slots=True)
class _Proto:
    """A TensorProto as far as it is read."""

    name: str = ""
    dims: list[int] = field(default_factory=list)
    dtype: int = 0
    held: int = 0
    raw: tuple[int, int] | None = None
    external: dict[str, str] = field(default_factory=dict)


def looks_like_onnx(head: bytes) -> bool:
    """Whether the first bytes are ModelProto's ir_version and the tag of another of its fields."""
    return len(head) > 3 and head[0] == 0x08 and 0 < head[1] < 0x40 and head[2] in _FIRST_TAGS


def read_onnx(source: Source, context: Context) -> Contents:
    """Read the graph; raises UnreadableCheckpoint where the protobuf breaks or holds none."""
    reader = _Reader(context, Contents("onnx", Table()))
    model = Message(source, context.meter, 0, source.size)
    said: dict[str, Any] = {}
    graphs, has_opsets = 0, False
    for found in model.fields():
        if found.number == 7 and found.kind == BYTES:
            graphs += 1
            reader.read_graph(model.inner(found), 0)
        elif found.number in (2, 3) and found.kind == BYTES:
            said["name" if found.number == 2 else "version"] = model.text(found)
        elif found.number == 1:
            said["ir_version"] = found.value
        elif found.number == _METADATA and found.kind == BYTES:
            reader.read_metadata(model.inner(found))
        elif found.number == _OPSETS:
            has_opsets = True
    if graphs != 1:
        raise UnreadableCheckpoint(
            "it looks like ONNX, yet holds no graph" if not graphs else f"ONNX with {graphs} graphs",
            hint="a model that onnx.save or torch.onnx.export wrote",
        )
    if not has_opsets:  # every writer ends with it: a model that is cut behind its graph lacks it
        error = UnreadableCheckpoint("the model names no operator sets: it may be cut off behind its graph")
        context.note(error, "model")
    reader.graph.producer = said
    reader.contents.root.attributes = reader.graph
    return reader.contents


class _Reader:
    """Gathers nodes and initialisers; graphs within nodes give their initialisers only."""

    def __init__(self, context: Context, contents: Contents) -> None:
        self.context = context
        self.contents = contents
        self.graph = Graph("onnx")

    def read_graph(self, message: Message, depth: int) -> None:
        """Nodes, initialisers, inputs and outputs of one graph."""
        for found in message.fields():
            if found.kind != BYTES:
                continue
            if found.number == 1:
                self._node(message.inner(found), depth)
            elif found.number == 5:
                self._initialiser(message.inner(found))
            elif found.number in (11, 12) and depth == 0:
                self._value(message.inner(found), is_output=found.number == 12)
            elif found.number == 15:
                text = "sparse initialisers are not counted"
                self.context.findings.add("sparse_initialiser", "low", "graph", text)

    def read_metadata(self, message: Message) -> None:
        """One of the model's own words; those that are too long to be shown are left out."""
        most = self.context.meter.limits.max_shown_text
        texts = {found.number: found for found in message.fields() if found.kind == BYTES}
        if (
            len(texts) == 2
            and all(found.length <= most for found in texts.values())
            and 1 in texts
            and 2 in texts
        ):
            self.graph.metadata.setdefault(message.text(texts[1]), message.text(texts[2]))

    def _node(self, message: Message, depth: int) -> None:
        self.context.meter.spend("max_opcodes", NODE_COST)
        node = Node()
        for found in message.fields():
            if found.number == 1:
                node.inputs.append(message.text(found))
            elif found.number == 2:
                node.outputs.append(message.text(found))
            elif found.number == 4:
                node.kind = message.text(found)
            elif found.number == 7:
                node.domain = message.text(found)
            elif found.number == 5:
                self._attribute(message.inner(found), node, depth)
        if depth == 0:
            self.graph.nodes.append(node)
        if node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
            text = f"operator {node.kind} of the domain {node.domain}: a runtime needs that library's code"
            self.context.findings.add("custom_operator", "medium", "graph", text)

    def _attribute(self, message: Message, node: Node, depth: int) -> None:
        name, number, inner = "", None, list[Field]()
        tensors: list[Field] = []
        for found in message.fields():
            if found.number == 1:
                name = message.text(found)
            elif found.number == 3:
                number = found.value
            elif found.number == 5 and found.kind == BYTES:
                tensors.append(found)
            elif found.number in (6, 11) and found.kind == BYTES:
                inner.append(found)
        if number is not None:
            node.attributes[name] = number if number < _SIGN else number - 2 * _SIGN
        if node.kind == "Constant" and tensors and node.outputs:
            self._initialiser(message.inner(tensors[0]), node.outputs[0])
        for found in inner:
            self._nested(message.inner(found), depth + 1)

    def _nested(self, graph: Message, depth: int) -> None:
        text = "a graph within a node (If, Loop, Scan): its weights are counted, its layers not followed"
        self.context.findings.add("nested_graph", "info", "graph", text)
        if depth > _MOST_DEPTH:
            raise UnreadableCheckpoint(f"ONNX graphs nest deeper than {_MOST_DEPTH}", pointer="graph")
        self.read_graph(graph, depth)

    def _value(self, message: Message, *, is_output: bool) -> None:
        """ValueInfoProto: the name, and of its tensor type the sizes; a size by name counts as 0."""
        name = next((message.text(found) for found in message.fields() if found.number == 1), "")
        sizes: list[int] = []
        for tensor in _inside(message, 2, 1, 2):
            sizes += [_first_number(size, 1) for size in _inside(tensor, 1)]
        (self.graph.outputs if is_output else self.graph.inputs)[name] = tuple(sizes)

    def _initialiser(self, message: Message, name: str = "") -> None:
        self.context.meter.spend("max_tensors")
        proto = self._proto(message)
        key = proto.name or name
        dtype = DTYPES.get(proto.dtype, f"type {proto.dtype}")
        shape = tuple(proto.dims)
        if len(shape) > 64 or math.prod(max(1, size) for size in shape) >= _SIGN or min(shape, default=0) < 0:
            raise UnreadableCheckpoint(f"initialiser {key[:80]}: its sizes are none", pointer="graph")
        if key in self.contents.storages:
            text = "two initialisers have this name: which one counts depends on the reader"
            self.context.findings.add("duplicate_key", "high", key, text)
        stride = tuple(math.prod(shape[at + 1 :]) for at in range(len(shape)))
        tensor = Tensor(Storage(key, dtype, math.prod(shape), ""), dtype, shape, stride, 0)
        self.contents.root.pairs.append((key, tensor))
        self.contents.storages[key] = proto.held
        self.contents.spans.pop(key, None)
        if proto.raw and proto.raw[1] - proto.raw[0] == proto.held:  # in one piece, and nothing beside it
            self.contents.spans[key] = proto.raw
        if proto.external:
            self._outside(key, proto, math.prod(shape) * TORCH_DTYPES.get(dtype, 0))

    def _proto(self, message: Message) -> _Proto:
        proto = _Proto()
        for found in message.fields():
            if found.number == 1:
                proto.dims += message.integers(found)
                self.context.meter.check("max_depth", len(proto.dims))
            elif found.number == 2:
                proto.dtype = found.value
            elif found.number == 8:
                proto.name = message.text(found)
            elif found.number == _RAW:
                proto.held += found.length
                proto.raw = (found.start, found.end)
            elif found.number in _VALUE_BYTES:
                proto.held += found.length if found.kind == BYTES else _VALUE_BYTES[found.number]
                proto.raw = (found.start, found.end)  # packed, they stand as raw bytes do
            elif found.number in (_INT32, _INT64, _UINT64):
                width = TORCH_DTYPES.get(DTYPES.get(proto.dtype, ""), 8)
                proto.held += width * len(message.integers(found))
            elif found.number == 13:
                proto.external |= _entry(message.inner(found))
        return proto

    def _outside(self, key: str, proto: _Proto, declared: int) -> None:
        """Weights in another file: named, and judged by where a loader would look for it."""
        where = proto.external.get("location", "")
        self.contents.external[key] = where
        length = proto.external.get("length", "")
        size = int(length) if length.isascii() and length.isdigit() and len(length) < 19 else declared
        self.contents.storages[key] = size
        findings = self.context.findings
        leads_out = (
            where.startswith(("/", "\\")) or ".." in where.replace("\\", "/").split("/") or ":" in where
        )
        if leads_out or not where:
            text = f"its weights are to be read from {where!r}, which leads out of the model's folder"
            findings.add("external_path", "high", key, text)
        else:
            findings.add("external_data", "low", where, f"weights lie in the file {where!r} beside this one")


def _entry(message: Message) -> dict[str, str]:
    found = {field.number: message.text(field) for field in message.fields() if field.kind == BYTES}
    return {found.get(1, ""): found.get(2, "")}


def _first_number(message: Message, number: int) -> int:
    return next((found.value for found in message.fields() if found.number == number), 0)


def _inside(message: Message, *numbers: int) -> list[Message]:
    """The messages at the end of a path of field numbers."""
    level = [message]
    for number in numbers:
        level = [
            outer.inner(found)
            for outer in level
            for found in outer.fields()
            if found.number == number and found.kind == BYTES
        ]
    return level
