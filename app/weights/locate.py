"""Where the values of a file's storages lie, container by container; only headers are read.

The inspection has judged the file before; here every offset is held against the file's length all the same.
"""

import io
import json
import os
import pickletools
import zipfile
from collections.abc import Mapping

from app.checkpoint.contents import Context
from app.checkpoint.findings import Findings, printable
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.onnx import read_onnx
from app.checkpoint.source import FileSource
from app.errors import UnreadableCheckpoint
from app.weights.dtypes import item_bytes
from app.weights.storages import Span, Storages, Window
from app.weights.zip_records import add_nested, add_torch_export, add_torch_zip

LEGACY_PICKLES = 5
"""Magic number, protocol, system, object, storage keys: then come the storages."""


def locate_storages(descriptor: int, container: str, dtypes: Mapping[str, str]) -> Storages:
    """Find all storages of a file; `dtypes` are the types of their values by key.

    Raises UnreadableCheckpoint for a container whose values do not lie in records of their own.
    """
    found = Storages(descriptor)
    try:
        _add(found, container, dtypes)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, NotImplementedError, EOFError) as error:
        raise UnreadableCheckpoint(f"the records cannot be located: {error}") from None
    return found


def _add(found: Storages, container: str, dtypes: Mapping[str, str]) -> None:
    if container in ("torch-zip", "torchscript"):
        add_torch_zip(found, 0, os.fstat(found.descriptor).st_size, "")
    elif container == "stable-baselines3":
        add_nested(found)
    elif container == "torch-export":
        add_torch_export(found)
    elif container == "safetensors":
        _add_safetensors(found)
    elif container == "torch-legacy":
        _add_legacy(found, dtypes)
    elif container == "onnx":
        _add_onnx(found)
    else:
        hint = "torch files of any age, TorchScript, .pt2, stable-baselines3, safetensors and ONNX are"
        raise UnreadableCheckpoint(f"the values of a {container} file are not compared", hint=hint)


def _add_safetensors(found: Storages) -> None:
    length = int.from_bytes(os.pread(found.descriptor, 8, 0), "little")
    if length > 32 << 20:
        raise UnreadableCheckpoint("the header is larger than 32 MiB")
    header = json.loads(os.pread(found.descriptor, length, 8))
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            found.spans[name] = Span(8 + length + first, last - first)


def _add_legacy(found: Storages, dtypes: Mapping[str, str]) -> None:
    """The pickles are stepped over, not run; the last one lists the keys in the order of their storages."""
    size = os.fstat(found.descriptor).st_size
    file = io.BufferedReader(Window(found.descriptor, 0, size))
    keys: list[str] = []
    for _ in range(LEGACY_PICKLES):
        steps = list(pickletools.genops(file))
        keys = [arg for opcode, arg, _ in steps if isinstance(arg, str) and "UNICODE" in opcode.name]
    at = file.tell()
    for key in keys:
        count = int.from_bytes(os.pread(found.descriptor, 8, at), "little")
        length = count * item_bytes(dtypes[key])
        found.spans[key] = Span(at + 8, length)
        at += 8 + length


def _add_onnx(found: Storages) -> None:
    """Initialisers whose values stand as raw bytes in one piece, by the reader that the inspection uses."""
    limits = ReadLimits()
    with os.fdopen(os.dup(found.descriptor), "rb", buffering=0) as file:
        contents = read_onnx(
            FileSource(file, Meter(limits)), Context(Meter(limits), Findings(limits.max_findings))
        )
    for key, (start, end) in contents.spans.items():
        found.spans[printable(key)] = Span(start, end - start)
    found.elsewhere = {
        printable(key): "its values lie in another file"
        if key in contents.external
        else "its values are no raw bytes"
        for key in contents.storages
        if key not in contents.spans
    }
