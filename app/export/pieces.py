"""What an export is made of: known bytes, and ranges of the checkpoint to copy."""

import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from app.errors import UnreadableCheckpoint
from app.network.disk.file_layout import Layout, TensorBytes

BLOCK_BYTES = 1 << 20
"""How much is held at once, a whole number of values of any type."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A range of the checkpoint, as it stands there."""

    start: int
    """Where it begins."""
    length: int
    """Its bytes."""
    crc32: int | None = None
    """What the checkpoint's directory says of it; None for a part of a record."""


@dataclass(frozen=True, slots=True)
class Convert:
    """A range of the checkpoint whose values are written in another form."""

    source: Copy
    """The range."""
    length: int
    """Bytes that become of it."""
    convert: Callable[[bytes], bytes]
    """The new bytes of a block of whole values."""


Piece = bytes | Copy | Convert

ReadAt = Callable[[int, int], bytes]
"""Reads a file's bytes at (offset, length), fewer only at its end."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file that can be written: all of it is known but the weights' values."""

    format: str
    """Name of the format."""
    suffix: str
    """What the file's name ends with."""
    pieces: tuple[Piece, ...]
    """The file's parts in order."""

    @property
    def size(self) -> int:
        """Exact length of the file."""
        return sum(map(piece_bytes, self.pieces))

    def blocks(self, read: ReadAt) -> Iterator[bytes]:
        """The file's bytes; `read` gives the checkpoint's at (offset, length).

        Raises UnreadableCheckpoint where the checkpoint is cut or a record does not match its checksum: what was
        written until then is to be dropped.
        """
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            elif isinstance(piece, Copy):
                yield from _read(read, piece)
            else:
                yield from map(piece.convert, _read(read, piece.source))


def reads_of(descriptor: int) -> ReadAt:
    """How an open file is read."""
    return lambda offset, length: os.pread(descriptor, length, offset)


def piece_bytes(piece: Piece) -> int:
    """Bytes that a piece becomes."""
    return len(piece) if isinstance(piece, bytes) else piece.length


def fill_layout(layout: Layout, values: Mapping[str, Copy | Convert]) -> tuple[Piece, ...]:
    """The layout with each tensor's bytes in its place. Raises UnreadableCheckpoint for one of another length."""
    return tuple(_fill(part, values) if isinstance(part, TensorBytes) else part for part in layout)


def _fill(place: TensorBytes, values: Mapping[str, Copy | Convert]) -> Piece:
    piece = values[place.name]
    if piece.length != place.length:
        raise UnreadableCheckpoint(
            f"{place.name}: its record has {piece.length:,} bytes, its shape needs {place.length:,}"
        )
    return piece


def _read(read: ReadAt, piece: Copy) -> Iterator[bytes]:
    checksum, at, end = 0, piece.start, piece.start + piece.length
    while at < end:
        data = read(at, min(BLOCK_BYTES, end - at))
        if not data:
            raise UnreadableCheckpoint(f"the checkpoint ends at byte {at:,}, {end - at:,} more are needed")
        whole = len(data) - len(data) % 16 if at + len(data) < end else len(data)
        data = data[: whole or len(data)]
        checksum = zlib.crc32(data, checksum)
        at += len(data)
        yield data
    if piece.crc32 not in (None, checksum):
        raise UnreadableCheckpoint(
            f"the record at byte {piece.start:,} does not match its checksum",
            hint="the file was changed or damaged after it was written; take another copy",
        )
