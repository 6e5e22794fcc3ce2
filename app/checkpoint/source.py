"""Bytes of a file by position: the one way that readers reach it, so a local file or byte ranges do alike."""

from typing import BinaryIO, Protocol

from app.checkpoint.limits import Meter
from app.errors import UnreadableCheckpoint


class Source(Protocol):
    """Random access to bytes."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; raises UnreadableCheckpoint where they pass the end."""
        ...


class FileSource:
    """A seekable binary file."""

    def __init__(self, file: BinaryIO, meter: Meter) -> None:
        self._file = file
        self._meter = meter
        self.size = file.seek(0, 2)
        meter.check("max_file_bytes", self.size)

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; counts them against `max_read_bytes`."""
        check_range(self.size, offset, length)
        self._meter.spend("max_read_bytes", length)
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise UnreadableCheckpoint(
                f"the file ended early, {len(data):,} of {length:,} bytes at {offset:,}"
            )
        return data


class PartSource:
    """A part of another source: a member that is stored as it is."""

    def __init__(self, whole: Source, start: int, size: int) -> None:
        self._whole = whole
        self._start = start
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes of the part."""
        check_range(self.size, offset, length)
        return self._whole.read_at(self._start + offset, length)


class BytesSource:
    """Bytes that were decompressed already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        check_range(self.size, offset, length)
        return self._data[offset : offset + length]


def check_range(size: int, offset: int, length: int) -> None:
    """Raise UnreadableCheckpoint unless `length` bytes at `offset` lie within `size`."""
    if offset < 0 or length < 0 or offset + length > size:
        raise UnreadableCheckpoint(
            f"bytes {offset:,} to {offset + length:,} are needed, the file has {size:,}",
            hint="the file may be cut short: compare its size with that of the original",
        )
