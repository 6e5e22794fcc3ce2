"""The exact size of the file that torch.save writes, without torch and without the tensors.

Layout of torch 2.13's zip (caffe2/serialize/inline_container.cc over miniz, read and measured): records
are stored uncompressed under '<stem>/'. Each has a local header of 30 bytes, its name, a zip64 field where
its size or offset needs 64 bits, an 'FB' field whose padding makes the data start on a multiple of 64, the
data and, unless that is empty, a descriptor of 16 bytes (24 with a zip64 field). Then a central directory of 46 bytes, name and
zip64 field per record, and always the zip64 end (56), its locator (20) and the end (22).
"""

from collections.abc import Iterator
from typing import Any

from app.errors import InvalidInput
from app.network.disk.canonical import canonical_tree
from app.network.disk.pickle_size import TensorSpec, pickle_bytes

STEM = "archive"
"""The folder within the zip when torch.save writes through a file object; Caliper always does."""

ALIGNMENT = 64
_UINT32_MAX = 0xFFFFFFFF
_ENDS = 56 + 20 + 22


def torch_save_bytes(tree: Any, stem: str = STEM) -> int:
    """Exact bytes of `torch.save(tree)`, where the leaves that are tensors are given as TensorSpec.

    The tree is taken in its canonical form (see canonical.py), which is what worker.save writes. `stem` is
    the file's name without its ending if torch.save was given a path. Raises InvalidInput for a leaf that
    a checkpoint cannot hold.
    """
    length, specs = pickle_bytes(canonical_tree(tree, _require_spec))
    return _archive_bytes(_records(length, specs), len(stem.encode()) + 1)


def _require_spec(value: Any, path: str) -> TensorSpec:
    if isinstance(value, TensorSpec):
        return TensorSpec(value.shape, value.dtype)  # fresh: two tensors are two objects to pickle
    raise InvalidInput(
        f"{type(value).__name__} at {path or '/'} cannot stand in a checkpoint",
        hint="None, bool, int, float, str, list, tuple, dict or TensorSpec",
        pointer=path,
    )


def _records(pickle_length: int, specs: list[TensorSpec]) -> Iterator[tuple[str, int]]:
    """Names and data lengths of all records, in the order of writing."""
    yield "data.pkl", pickle_length
    yield ".format_version", len("1")
    yield ".storage_alignment", len(str(ALIGNMENT))
    yield "byteorder", len("little")
    for index, spec in enumerate(specs):
        yield f"data/{index}", spec.nbytes
    yield "version", len("3\n")
    yield ".data/serialization_id", 40  # two numbers of 20 digits


def _archive_bytes(records: Iterator[tuple[str, int]], prefix: int) -> int:
    offset = directory = 0
    for name, size in records:
        named = len(name) + prefix
        zip64 = _zip64_field(size, offset)
        data_at = _round_up(offset + 30 + named + zip64 + 4, ALIGNMENT)  # 4: head of the 'FB' field
        offset, directory = data_at + size + _descriptor(size, zip64), directory + 46 + named + zip64
    return offset + directory + _ENDS


def _zip64_field(size: int, offset: int) -> int:
    """Length of the zip64 extra field of a record of `size` bytes that begins at `offset`; 0 for none."""
    numbers = 2 * (size >= _UINT32_MAX) + (offset >= _UINT32_MAX)
    return 4 + 8 * numbers if numbers else 0


def _descriptor(size: int, zip64: int) -> int:
    """Length of what follows a record's data: nothing where there is no data."""
    return (24 if zip64 else 16) if size else 0


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
