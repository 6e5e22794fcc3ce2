"""A file as what stands in it: bytes that are known before training, and the places of tensors that are not.

One layout is both measured (the API's estimate) and filled with a checkpoint's bytes (app.export), so that a
predicted size and a written file cannot differ.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorBytes:
    """The place of one tensor's values, raw and little-endian."""

    name: str
    """Name of the tensor."""
    length: int
    """Bytes of its values."""


Part = bytes | TensorBytes
Layout = tuple[Part, ...]
"""The parts of a file in order."""


def layout_bytes(layout: Layout) -> int:
    """Length of the file."""
    return sum(part.length if isinstance(part, TensorBytes) else len(part) for part in layout)
