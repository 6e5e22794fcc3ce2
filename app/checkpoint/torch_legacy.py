"""The stream that torch wrote before 1.6: pickles one after another, then the storages, which are seeked over.

Layout as torch.serialization._legacy_save: magic number, protocol, system, object, storage keys; then for each
key eight bytes of count and the values.
"""

from typing import Any

from app.checkpoint.contents import Contents, Context, walk_one
from app.checkpoint.findings import Findings
from app.checkpoint.opcodes import Machine
from app.checkpoint.rebuild import torch_storage
from app.checkpoint.source import Source
from app.checkpoint.tensors import item_bytes
from app.checkpoint.values import Storage
from app.errors import CaliperError

MAGIC = 0x1950A86A20F9469CFC6C
MAGIC_BYTES = b"\x8a\n" + MAGIC.to_bytes(10, "little")
"""How the magic number stands in the stream, after the two bytes of the protocol."""
_FIRST_WINDOW = 1 << 20


def looks_like_legacy(head: bytes) -> bool:
    """Whether a pickle of the magic number stands at the start."""
    return head[:1] == b"\x80" and MAGIC_BYTES in head[:16]


def read_legacy(source: Source, context: Context) -> Contents:
    """Walk the five pickles, then size each storage by its count."""
    most = min(source.size, context.meter.limits.max_member_bytes)
    if most > _FIRST_WINDOW:
        trial = Context(context.meter, Findings(context.findings.most))
        _, _, end = _walk_pickles(source.read_at(0, _FIRST_WINDOW), trial, {})
        most = end if not trial.broken else most
    storages: dict[str, Storage] = {}
    root, keys, end = _walk_pickles(source.read_at(0, most), context, storages)
    return Contents("torch-legacy", root, _sizes(source, end, keys, storages, context))


def _walk_pickles(data: bytes, context: Context, storages: dict[str, Storage]) -> tuple[Any, list[Any], int]:
    """(root, storage keys, where the storages begin)."""
    load_torch = torch_storage("")

    def load(m: Machine, pid: Any) -> Any:
        storage = load_torch(m, pid)
        if isinstance(storage, Storage):
            storages[storage.key] = storage
        return storage

    values: list[Any] = []
    end = 0
    for part in ("magic number", "protocol", "system", "object", "storage keys"):
        result = walk_one(data, end, context, part, load)
        values.append(result.value)
        end = result.end
        if result.error is not None:
            break
    values += [None] * (5 - len(values))
    return values[3], values[4] if isinstance(values[4], list) else [], end


def _sizes(
    source: Source, at: int, keys: list[Any], storages: dict[str, Storage], context: Context
) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for key in keys:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or key in sizes:
            context.findings.add(
                "storage_mismatch", "high", "storage keys", "the list of storages is not that of the tensors"
            )
            return sizes
        try:
            count = int.from_bytes(source.read_at(at, 8), "little")
        except CaliperError as error:
            context.note(error, f"storage {key}")
            return sizes
        size = min(count * item_bytes(storage.dtype), max(0, source.size - at - 8))
        sizes[key] = size
        at += 8 + size
    if at < source.size:
        context.findings.add("trailing_data", "medium", f"@{at}", "bytes follow the last storage")
    return sizes
