"""torch.export's .pt2: a zip of JSON documents and raw weights, in the layout that torch 2.9 began.

`<stem>/archive_format` says pt2; data/weights/<model>_weights_config.json maps names to records and shapes;
models/<model>.json is the graph. Before, serialized_state_dict.pt was a torch zip within the zip.
"""

import math
from typing import Any

from app.checkpoint.archive import Archive, open_archive
from app.checkpoint.contents import Contents, Context
from app.checkpoint.graph import NODE_COST, Graph, Node
from app.checkpoint.json_value import read_json
from app.checkpoint.torch_zip import is_torch_zip, read_torch_zip
from app.checkpoint.values import Storage, Table, Tensor
from app.errors import CaliperError, UnreadableCheckpoint

SCALAR_TYPES: dict[int, str] = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8_e4m3fn",
    30: "float8_e5m2",
}
"""torch._export.serde.schema.ScalarType."""

_OLD = "serialized_exported_program.json"
_OLD_STATES = ("serialized_state_dict.pt", "serialized_constants.pt", "serialized_example_inputs.pt")
_CODE = (".so", ".o", ".a", ".dylib", ".dll", ".pyd", ".cpp", ".cu", ".cubin", ".hsaco", ".spv", ".ptx")
_EXECUTABLES = (b"\x7fELF", b"MZ\x90\x00", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_CONFIG = "_weights_config.json"
_SMALL = 1 << 16


def is_torch_export(archive: Archive) -> bool:
    """Whether an archive has the members of torch.export.save, of either layout."""
    names = archive.members
    return _OLD in names or any(n.count("/") == 1 and n.endswith("/archive_format") for n in names)


def read_torch_export(archive: Archive, context: Context) -> Contents:
    """Read the weights' table and the graph; every member that is a torch zip is walked too."""
    contents = Contents("torch-export", Table())
    contents.root.attributes = Graph("torch-export")
    _prefetch(archive)
    for name in archive.members:
        try:
            _read_member(archive, name, context, contents)
        except CaliperError as error:
            context.note(error, archive.at(name))
    if not contents.root.pairs and not context.broken and not context.is_dangerous():
        raise UnreadableCheckpoint("an exported program without weights", pointer=archive.location)
    return contents


def _prefetch(archive: Archive) -> None:
    """Everything but the weights, which is small, together; of torch zips and code the ends."""
    names = [name for name in archive.members if "/data/weights/" not in name or name.endswith(_CONFIG)]
    small = [name for name in names if archive.members[name].packed <= _SMALL]
    archive.prefetch_archives([name for name in names if name not in small], beside=small)


def _read_member(archive: Archive, name: str, context: Context, contents: Contents) -> None:
    if name.endswith(_CONFIG) and "/data/weights/" in name:
        document = read_json(archive.read(name), context, archive.at(name))
        _read_weights(document, name.rpartition("/")[0], archive, contents, context)
    elif name == _OLD or ("/models/" in name and name.endswith(".json")):
        _read_graph(
            read_json(archive.read(name), context, archive.at(name)), contents.root.attributes, context
        )
    elif name.endswith((".pt", ".pth")):
        inner = _read_torch(archive, name, context)
        if name == _OLD_STATES[0] and isinstance(inner.root, Table):
            contents.root.pairs += inner.root.pairs
            contents.storages.update(inner.storages)
    elif _is_code(archive, name):
        text = "compiled code of an AOTInductor package: loading it runs the file's own machine code"
        context.findings.add("compiled_code", "high", archive.at(name), text)


def _is_code(archive: Archive, name: str) -> bool:
    """Whether a member is machine code or a source of it, by its name or, weights left out, its first bytes."""
    if name.lower().endswith(_CODE):
        return True
    if "/weights/" in name or "/constants/" in name or archive.members[name].size < 4:
        return False
    return archive.open(name).read_at(0, 4) in _EXECUTABLES


def _read_torch(archive: Archive, name: str, context: Context) -> Contents:
    location = f"{archive.at(name)}!"
    inner = open_archive(archive.open(name), context.meter, context.findings, location)
    if not is_torch_zip(inner):
        raise UnreadableCheckpoint(f"{location}the inner zip holds no data.pkl", pointer=location)
    return read_torch_zip(inner, context, f"{name}!")


def _read_weights(document: Any, folder: str, archive: Archive, contents: Contents, context: Context) -> None:
    config = document.get("config") if isinstance(document, Table) else None
    for name, entry in config.pairs if isinstance(config, Table) else []:
        if not isinstance(name, str) or not isinstance(entry, Table):
            continue
        context.meter.spend("max_tensors")
        record = f"{folder}/{entry.get('path_name')}"
        member = archive.members.get(record)
        if entry.get("use_pickle") is True and member is not None:
            inner = _read_torch(archive, record, context)
            contents.storages.update(inner.storages)
            contents.root.pairs.append((name, inner.root))
            continue
        contents.root.pairs.append((name, _tensor(record, entry.get("tensor_meta"), name)))
        if member is not None:
            contents.storages[record] = member.size


def _tensor(record: str, meta: Any, name: str) -> Tensor:
    table = meta if isinstance(meta, Table) else Table()
    dtype = SCALAR_TYPES.get(table.get("dtype")) if type(table.get("dtype")) is int else None
    shape, stride = _sizes(table.get("sizes")), _sizes(table.get("strides"))
    offset = _sizes([table.get("storage_offset")])
    if not dtype or shape is None or stride is None or offset is None or len(shape) != len(stride):
        raise UnreadableCheckpoint(f"{name[:80]}: dtype, sizes or strides are malformed", pointer=record)
    reach = 0 if 0 in shape else 1 + sum((s - 1) * t for s, t in zip(shape, stride, strict=True))
    return Tensor(Storage(record, dtype, offset[0] + reach, ""), dtype, shape, stride, offset[0])


def _sizes(values: Any) -> tuple[int, ...] | None:
    """Sizes as {"as_int": n}; None where one is symbolic or out of range."""
    if not isinstance(values, list) or len(values) > 64:
        return None
    found = [value.get("as_int") if isinstance(value, Table) else None for value in values]
    whole = [size for size in found if type(size) is int and 0 <= size < 1 << 40]
    return (
        tuple(whole) if len(whole) == len(found) and math.prod(max(1, n) for n in whole) < 1 << 63 else None
    )


def _declared(values: Any) -> tuple[int, ...]:
    """An input's sizes; one that is symbolic counts as 0."""
    return tuple((_sizes([value]) or (0,))[0] for value in _list(values)[:64])


def _read_graph(document: Any, graph: Graph, context: Context) -> None:
    """Operations and outputs; parameters are graph inputs, which the signature maps to names."""
    module = _get(document, "graph_module")
    body = _get(module, "graph")
    names = _parameters(_get(module, "signature"))
    for entry in _list(_get(body, "nodes")):
        context.meter.spend("max_opcodes", NODE_COST)
        inputs = [
            name for value in _list(_get(entry, "inputs")) for name in _tensor_names(_get(value, "arg"))
        ]
        outputs = [name for value in _list(_get(entry, "outputs")) for name in _tensor_names(value)]
        kind = str(_get(entry, "target") or "").removeprefix("torch.ops.aten.").partition(".")[0]
        graph.nodes.append(Node(kind, "", [names.get(name, name) for name in inputs], outputs))
    values = _get(body, "tensor_values")
    for value in _list(_get(body, "inputs")):
        for name in _tensor_names(value):
            if name not in names:
                graph.inputs[name] = _declared(_get(_get(values, name), "sizes"))
    for value in _list(_get(body, "outputs")):
        graph.outputs.update(dict.fromkeys(_tensor_names(value), ()))
    version = _get(document, "torch_version")
    graph.producer = {"torch": version} if isinstance(version, str) else None


def _parameters(signature: Any) -> dict[str, str]:
    """Graph input -> name in the state dict."""
    found: dict[str, str] = {}
    for entry in _list(_get(signature, "input_specs")):
        for kind, key in (("parameter", "parameter_name"), ("buffer", "buffer_name")):
            spec = _get(entry, kind)
            target, name = _get(_get(spec, "arg"), "name"), _get(spec, key)
            if isinstance(target, str) and isinstance(name, str):
                found[target] = name
    return found


def _tensor_names(value: Any) -> list[str]:
    """The tensors of an argument: one, a list of them, or one of which some may be missing."""
    found = [_get(value, "as_tensor"), *_list(_get(value, "as_tensors"))]
    found += [_get(entry, "as_tensor") for entry in _list(_get(value, "as_optional_tensors"))]
    return [name for entry in found if isinstance(name := _get(entry, "name"), str)]


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Table) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
