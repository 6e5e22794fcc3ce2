"""Bytes of a file by position: the one way that readers reach it, so a local file and byte ranges do alike.

A `RangeSource` asks for as few ranges as it can: what a reader knows that it will need it announces with
`prefetch`, which coalesces neighbours into one request and keeps the bytes; everything else is read as asked.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from app.checkpoint.limits import Meter
from app.errors import UnreadableCheckpoint

Span = tuple[int, int]
"""Where bytes begin, and how many they are."""

Look = Callable[["Source"], None]
"""Looks at bytes that were asked for, in a source where they stand at their place."""

_GAP = 256
"""Bytes that are read for nothing rather than asking twice."""


class Source(Protocol):
    """Random access to bytes."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether a small read costs next to nothing, no request over a network."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; raises UnreadableCheckpoint where they pass the end."""
        ...

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Fetch and keep these spans, as far as they lie within, in as few requests as can be."""
        ...

    def when_passed(self, offset: int, length: int, look: Look) -> bool:
        """Have `look` called as these bytes pass by to be hashed; False where they will not, and it is not called."""
        ...


@dataclass(frozen=True, slots=True)
class RangeReader:
    """A file that can only be asked for byte ranges, such as an object in a store."""

    size: int
    """Bytes in all."""
    read: Callable[[int, int], bytes]
    """The bytes at (offset, length); it may raise a CaliperError."""
    name: str = ""
    """Name of the file, for the report."""
    head: bytes = b""
    """First bytes, where asking for the size brought some."""


class RangeSource:
    """Byte ranges with a memory: each request is counted, and what was fetched ahead is not asked for again."""

    is_local = False

    def __init__(self, size: int, read: Callable[[int, int], bytes], meter: Meter, head: bytes = b"") -> None:
        self.size = size
        self._read = read
        self.meter = meter
        self.on_pass: Callable[[int, int, Look], None] | None = None
        """Takes what is to be looked at as the file is hashed; None where it is not."""
        self._starts: list[int] = []
        self._kept: list[bytes] = []
        meter.check("max_file_bytes", size)
        if head:
            meter.spend("max_requests")
            meter.spend("max_read_bytes", len(head))
            self._keep(0, head)

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; those not kept count against `max_read_bytes` and `max_requests`."""
        check_range(self.size, offset, length)
        index = bisect_right(self._starts, offset) - 1
        if index >= 0 and offset + length <= self._starts[index] + len(self._kept[index]):
            at = offset - self._starts[index]
            return self._kept[index][at : at + length]
        return self._fetch(offset, length) if length else b""

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Fetch and keep these spans; neighbours become one request."""
        for start, end in _coalesced([part for span in spans for part in self._missing(*span)]):
            self._keep(start, self._fetch(start, end - start))

    def when_passed(self, offset: int, length: int, look: Look) -> bool:
        """Have `look` called as these bytes pass by; False where the file is not hashed."""
        if self.on_pass is None:
            return False
        self.on_pass(offset, length, look)
        return True

    def blocks(self, length: int) -> Iterator[bytes]:
        """The whole file, block after block, outside of the budgets: it is hashed, not kept."""
        for at in range(0, self.size, length):
            wanted = min(length, self.size - at)
            data = self._read(at, wanted)
            if len(data) != wanted:
                raise UnreadableCheckpoint(
                    f"the file ended early, at {at + len(data):,} of {self.size:,} bytes"
                )
            yield data

    def _missing(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """The parts (start, end) of a span that are not kept."""
        at, end = max(0, offset), min(self.size, offset + length)
        for start, data in zip(self._starts, self._kept, strict=True):
            if start >= end:
                break
            if start + len(data) > at:
                if start > at:
                    yield at, start
                at = start + len(data)
        if at < end:
            yield at, end

    def _fetch(self, offset: int, length: int) -> bytes:
        self.meter.spend("max_read_bytes", length)
        self.meter.spend("max_requests")
        self.meter.check_time()
        data = self._read(offset, length)
        if len(data) != length:
            text = f"the file ended early, {len(data):,} of {length:,} bytes at {offset:,}"
            raise UnreadableCheckpoint(text)
        return data

    def _keep(self, start: int, data: bytes) -> None:
        """Insert, joined with what stands right before and right after."""
        index = bisect_right(self._starts, start)
        if index < len(self._starts) and self._starts[index] == start + len(data):
            data += self._kept.pop(index)
            del self._starts[index]
        if index and self._starts[index - 1] + len(self._kept[index - 1]) == start:
            self._kept[index - 1] += data
            return
        self._starts.insert(index, start)
        self._kept.insert(index, data)


class FileSource(RangeSource):
    """A seekable binary file."""

    is_local = True

    def __init__(self, file: BinaryIO, meter: Meter) -> None:
        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            data = file.read(length)
            while len(data) < length and (more := file.read(length - len(data))):
                data += more
            return data

        super().__init__(file.seek(0, 2), read, meter)


class PartSource:
    """A part of another source: a member that is stored as it is."""

    def __init__(self, whole: Source, start: int, size: int) -> None:
        self._whole = whole
        self.start = start
        self.size = size
        self.is_local = whole.is_local

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes of the part."""
        check_range(self.size, offset, length)
        return self._whole.read_at(self.start + offset, length)

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Fetch and keep these spans of the part."""
        inside = ((max(0, at), min(self.size, at + length)) for at, length in spans)
        self._whole.prefetch((self.start + at, end - at) for at, end in inside if end > at)

    def when_passed(self, offset: int, length: int, look: Look) -> bool:
        """Have `look` called, with this part, as these bytes of the whole pass by."""

        def look_within(passed: Source) -> None:
            look(PartSource(passed, self.start, self.size))

        inside = max(0, min(length, self.size - offset))
        return self._whole.when_passed(self.start + offset, inside, look_within)


class PassedSource:
    """What was just passed of a file: `data`, which stands at `start`."""

    is_local = True

    def __init__(self, data: bytes, start: int, size: int) -> None:
        self._data = data
        self._start = start
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; raises UnreadableCheckpoint where they are not among those that were passed."""
        check_range(self.size, offset, length)
        at = offset - self._start
        if at < 0 or at + length > len(self._data):
            raise UnreadableCheckpoint(f"{length:,} bytes at {offset:,} are not where they were announced")
        return self._data[at : at + length]

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Nothing to fetch."""

    def when_passed(self, offset: int, length: int, look: Look) -> bool:  # noqa: ARG002
        """Never: they pass now."""
        return False


class BytesSource:
    """Bytes that were decompressed already."""

    is_local = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        check_range(self.size, offset, length)
        return self._data[offset : offset + length]

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Nothing to fetch."""

    def when_passed(self, offset: int, length: int, look: Look) -> bool:  # noqa: ARG002
        """Never: they are in memory."""
        return False


def check_range(size: int, offset: int, length: int) -> None:
    """Raise UnreadableCheckpoint unless `length` bytes at `offset` lie within `size`."""
    if offset < 0 or length < 0 or offset + length > size:
        raise UnreadableCheckpoint(
            f"bytes {offset:,} to {offset + length:,} are needed, the file has {size:,}",
            hint="the file may be cut short: compare its size with that of the original",
        )


def _coalesced(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted (start, end) parts, those with a small gap between them joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(parts):
        if joined and start - joined[-1][1] <= _GAP:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
