"""A Stable-Baselines3 zip: `data` (JSON with base64 pickles) and torch zips within the zip.

Written by stable_baselines3.common.save_util.save_to_zip_file. The root is a table of the member names.
"""

import base64
import binascii
from typing import Any

from app.checkpoint.archive import Archive, open_archive
from app.checkpoint.contents import Contents, Context, walk_pickles
from app.checkpoint.json_value import read_json
from app.checkpoint.source import BytesSource, Source
from app.checkpoint.torch_legacy import looks_like_legacy, read_legacy
from app.checkpoint.torch_zip import is_torch_zip, read_torch_zip
from app.checkpoint.values import Table, Tensor
from app.errors import CaliperError, UnreadableCheckpoint

SERIALIZED = ":serialized:"
_TEXTS = ("_stable_baselines3_version", "system_info.txt")


def is_sb3_zip(archive: Archive) -> bool:
    """Whether an archive has the members of Stable-Baselines3."""
    return "data" in archive.members and any(name.endswith(".pth") for name in archive.members)


def read_sb3_zip(archive: Archive, context: Context) -> Contents:
    """Read every member: the JSON, the pickles in it, the torch zips; a broken one is noted."""
    contents = Contents("stable-baselines3", Table())
    readers: dict[str, Any] = {}
    archives = [name for name in archive.members if name.endswith(".pth")]
    archive.prefetch_archives(archives, beside=[name for name in archive.members if name not in archives])
    for name in archive.members:
        try:
            value = _read_member(archive, name, context, contents, readers)
        except CaliperError as error:
            context.note(error, archive.at(name))
            value = None
        contents.root.pairs.append((name, value))
    contents.scalar = lambda tensor: _scalar(readers, tensor)
    return contents


def _scalar(readers: dict[str, Any], tensor: Tensor) -> bytes | None:
    read = readers.get(tensor.storage.key.partition("!")[0])
    found: bytes | None = read(tensor) if read else None
    return found


def _read_member(
    archive: Archive, name: str, context: Context, contents: Contents, readers: dict[str, Any]
) -> Any:
    if name == "data":
        document = read_json(archive.read(name), context, archive.at(name))
        return _unpack(document, context, archive.at(name))
    if name.endswith(".pth"):
        inner = _read_torch(archive, name, context)
        contents.storages.update(inner.storages)
        readers[name] = inner.scalar
        return inner.root
    if name in _TEXTS:
        return archive.read(name)[:4096].decode("utf-8", "backslashreplace").strip()
    _judge_extra(archive, name, context)
    return None


def _read_torch(archive: Archive, name: str, context: Context) -> Contents:
    location = f"{archive.at(name)}!"
    source = archive.open(name)
    if source.read_at(0, min(2, source.size)) != b"PK":
        return _read_stream(source, context, archive.at(name))
    inner = open_archive(source, context.meter, context.findings, location)
    if not is_torch_zip(inner):
        raise UnreadableCheckpoint(f"{location}the inner zip holds no data.pkl", pointer=location)
    return read_torch_zip(inner, context, f"{name}!")


def _read_stream(source: Source, context: Context, location: str) -> Contents:
    """A .pth that is no zip: torch loads it as a legacy stream, pickle as a pickle."""
    if looks_like_legacy(source.read_at(0, min(16, source.size))):
        return read_legacy(source, context)
    root = walk_pickles(source, context, location).value
    context.findings.add(
        "bare_pickle", "medium", location, "a bare pickle where Stable-Baselines3 writes a zip"
    )
    return Contents("pickle", root)


def _judge_extra(archive: Archive, name: str, context: Context) -> None:
    """A member that Stable-Baselines3 does not write: walked where it is a pickle."""
    data = archive.read(name)
    context.findings.add(
        "extra_member", "medium", archive.at(name), "Stable-Baselines3 writes no such member"
    )
    if data[:1] == b"\x80" or name.endswith((".pkl", ".pickle")):
        walk_pickles(BytesSource(data), context, archive.at(name))


def _unpack(document: Any, context: Context, location: str) -> Table:
    """The document's entries, those that are pickles replaced by their inert values."""
    if not isinstance(document, Table):
        raise UnreadableCheckpoint(f"{location}: the JSON is no object", pointer=location)
    _judge_deeper(document, context, location)
    return Table([(key, _entry(value, context, f"{location}#{key}")) for key, value in document.pairs])


def _judge_deeper(document: Table, context: Context, location: str) -> None:
    """Walk serialized entries that stand deeper than Stable-Baselines3 writes them."""
    waiting = [item for _, value in document.pairs for item in _items(value)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Table) and SERIALIZED in value:
            _entry(value, context, f"{location}#…")
        waiting.extend(_items(value))


def _items(value: Any) -> list[Any]:
    if isinstance(value, Table):
        return [item for _, item in value.pairs]
    return value if isinstance(value, list) else []


def _entry(value: Any, context: Context, location: str) -> Any:
    if not isinstance(value, Table) or SERIALIZED not in value:
        return value
    packed = value.get(SERIALIZED)
    try:
        data = base64.b64decode(packed, validate=False) if isinstance(packed, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        context.findings.add("damaged", "medium", location, "a serialized entry is no base64")
        return value
    return walk_pickles(BytesSource(data), context, location).value
