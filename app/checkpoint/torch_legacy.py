"""The stream that torch wrote before 1.6: pickles one after another, then the storages, which are seeked over.

Layout as torch.serialization._legacy_save: magic number, protocol, system, object, storage keys; then for each
key eight bytes of count and the values.
"""

import dataclasses
from typing import Any

from app.checkpoint.contents import Contents, Context, walk_one
from app.checkpoint.findings import Findings
from app.checkpoint.opcodes import Machine
from app.checkpoint.rebuild import DATA_CALLS, MALFORMED, torch_storage
from app.checkpoint.source import BytesSource, PartSource, Source, check_range
from app.checkpoint.statistics import slice_of
from app.checkpoint.tensors import item_bytes
from app.checkpoint.values import ByteRange, Storage, Tensor
from app.errors import CaliperError

LOAD_FROM_BYTES = "torch.storage._load_from_bytes"
"""What a tensor in an ordinary pickle is written with: torch.load of bytes within the pickle."""

MAGIC = 0x1950A86A20F9469CFC6C
MAGIC_BYTES = b"\x8a\n" + MAGIC.to_bytes(10, "little")
"""How the magic number stands in the stream, after the two bytes of the protocol."""
_USUAL = 1 << 14
"""Bytes in which the pickles of most files end; they are asked for together."""


def looks_like_legacy(head: bytes) -> bool:
    """Whether a pickle of the magic number stands at the start."""
    return head[:1] == b"\x80" and MAGIC_BYTES in head[:16]


def read_legacy(source: Source, context: Context, prefix: str = "") -> Contents:
    """Walk the five pickles, then size each storage by its count; `prefix` goes before each storage's key."""
    source.prefetch([(0, _USUAL)])
    storages: dict[str, Storage] = {}
    root, keys, end = _walk_pickles(source, context, storages, prefix)
    contents = Contents("torch-legacy", root)
    contents.storages = _sizes(source, end, keys, storages, context)
    at = end
    for key, size in contents.storages.items():
        contents.spans[key] = (at + 8, at + 8 + size)
        at += 8 + size
    contents.read_values = lambda tensors: [_values(source, contents, tensor, context) for tensor in tensors]
    return contents


def load_from_bytes(m: Machine, args: tuple[Any, ...]) -> Any:
    """The storage in a legacy stream within a pickle; real torch would load it with everything allowed."""
    stream = _stream_of(m, args[0] if len(args) == 1 else b"")
    if not looks_like_legacy(stream.read_at(0, min(32, stream.size))):
        text = f"would load {stream.size:,} bytes within the pickle by torch.load, and run what they say"
        m.findings.add("would_call", "high", m.here(), text)
        return MALFORMED
    m.meter.spend("max_archives")
    context = Context(m.meter, m.findings)
    contents = read_legacy(stream, context, f"{m.here()}!")
    if context.broken:
        raise context.broken[0]
    found = contents.root
    if not isinstance(found, Storage):
        return found
    return dataclasses.replace(found, held=contents.storages.get(found.key))


def _stream_of(m: Machine, value: Any) -> Source:
    """The bytes within a pickle as a source; those that were passed over are read where they are."""
    if isinstance(value, ByteRange):
        return PartSource(m.source, value.start, value.length)
    return BytesSource(value if isinstance(value, bytes) else b"")


DATA_CALLS[LOAD_FROM_BYTES] = load_from_bytes  # here, since the reader of streams builds on the machine


def _values(source: Source, contents: Contents, tensor: Tensor, context: Context) -> bytes | None:
    """The bytes of a tensor whose storage is small."""
    start, end = contents.spans.get(tensor.storage.key, (0, 0))
    if end - start > context.meter.limits.max_statistics_bytes:
        return None
    return slice_of(tensor, source.read_at(start, end - start))


def _walk_pickles(
    source: Source, context: Context, storages: dict[str, Storage], prefix: str
) -> tuple[Any, list[Any], int]:
    """(root, storage keys with the prefix, where the storages begin)."""
    load_torch = torch_storage(prefix)

    def load(m: Machine, pid: Any) -> Any:
        storage = load_torch(m, pid)
        if isinstance(storage, Storage):
            storages[storage.key] = storage
        return storage

    values: list[Any] = []
    end = 0
    for part in ("magic number", "protocol", "system", "object", "storage keys"):
        result = walk_one(source, end, context, part, load)
        values.append(result.value)
        end = result.end
        if result.error is not None:
            break
    values += [None] * (5 - len(values))
    keys = values[4] if isinstance(values[4], list) else []
    return values[3], [prefix + key if isinstance(key, str) else key for key in keys], end


def _sizes(
    source: Source, at: int, keys: list[Any], storages: dict[str, Storage], context: Context
) -> dict[str, int]:
    """Each storage's bytes, by what the pickle declares, which torch demands of the stream too; counts are compared."""
    sizes: dict[str, int] = {}
    is_compared = True
    for key in keys:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or key in sizes:
            context.findings.add(
                "storage_mismatch", "high", "storage keys", "the list of storages is not that of the tensors"
            )
            return sizes
        try:
            check_range(source.size, at, 8)
        except CaliperError as error:
            context.note(error, f"storage {key}")
            return sizes
        is_compared = _compare_count(source, at, storage, context.findings) and is_compared
        size = min(storage.numel * item_bytes(storage.dtype), source.size - at - 8)
        sizes[key] = size
        at += 8 + size
    if at < source.size:
        context.findings.add("trailing_data", "medium", f"@{at}", "bytes follow the last storage")
    if not is_compared:
        text = "the file is remote: the counts before its storages are not compared, which torch does as it loads them"
        context.findings.add("headers_not_compared", "info", "", text)
    return sizes


def _compare_count(source: Source, at: int, storage: Storage, findings: Findings) -> bool:
    """Have the count before a storage compared with its declaration; False where that would cost a request."""

    def look(passed: Source) -> None:
        count = int.from_bytes(passed.read_at(at, 8), "little")
        if count != storage.numel:
            text = f"declared with {storage.numel:,} values, the stream counts {count:,}"
            findings.add("storage_size", "high", f"storage {storage.key}", text)

    if source.when_passed(at, 8, look):
        return True
    if source.is_local:
        look(source)
    return source.is_local
