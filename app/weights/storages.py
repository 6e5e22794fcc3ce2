"""The records of a file that hold its tensors' values, and a part of a file as a file."""

import io
import os
from dataclasses import dataclass, field

from app.errors import UnreadableCheckpoint


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file."""

    start: int
    length: int


@dataclass(slots=True)
class Storages:
    """The records behind a file's tensors."""

    descriptor: int
    spans: dict[str, Span] = field(default_factory=dict)
    byteorder: str = "little"
    bytes_read: int = 0
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Why the values of a storage are not to be had, where that is known."""

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Bytes of a storage; raises UnreadableCheckpoint where it does not hold them."""
        span = self.spans.get(key)
        if span is None:
            raise UnreadableCheckpoint(self.elsewhere.get(key, f"no record holds the storage {key}"))
        if offset < 0 or offset + length > span.length:
            raise UnreadableCheckpoint(f"the storage {key} ends after {span.length:,} bytes")
        data = os.pread(self.descriptor, length, span.start + offset)
        while len(data) < length and (
            more := os.pread(self.descriptor, length - len(data), span.start + offset + len(data))
        ):
            data += more
        if len(data) < length:
            raise UnreadableCheckpoint(f"the file ends within the storage {key}")
        self.bytes_read += length
        return data


class Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        super().__init__()
        self._descriptor, self._start, self._length, self._at = descriptor, start, length, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move within the part."""
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the part goes."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        length = max(0, min(len(view), self._length - self._at))
        data = os.pread(self._descriptor, length, self._start + self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
