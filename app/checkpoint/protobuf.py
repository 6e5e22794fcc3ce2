"""Protobuf's wire format over a source: fields by number, long values passed over unread.

https://protobuf.dev/programming-guides/encoding. Nothing is decoded by a schema here; the caller knows the numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.checkpoint.limits import Meter
from app.checkpoint.source import Source
from app.errors import UnreadableCheckpoint

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_TICK: Final = 1_024
_LEAST, _MOST, _BEHIND = 128, 2_048, 4_096
"""Bytes that are read at once: few behind what was passed over, which is mostly the head of the next weights, then twice as
many each time; and those that are kept behind the present place."""
_LEAST_FAR, _MOST_FAR = 1_024, 8_192
"""The same where each read is a request: small weights are read through rather than asking twice."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its number, and either a number or where its bytes stand in the source."""

    number: int
    value: int
    start: int
    end: int
    kind: int

    @property
    def length(self) -> int:
        """Bytes of the value."""
        return self.end - self.start


class Window:
    """The bytes around the present place of a walk, shared by a message and all within it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._least, self._most = (_LEAST, _MOST) if source.is_local else (_LEAST_FAR, _MOST_FAR)
        self._ahead = self._least
        self._data = b""
        self._start = 0

    def byte(self, at: int) -> int:
        """One byte."""
        if not self._start <= at < self._start + len(self._data):
            self._move(at)
        return self._data[at - self._start]

    def bytes(self, start: int, end: int) -> bytes:
        """A run of bytes; the window moves there unless the run is longer than it gets."""
        if end - start > _MOST_FAR:
            return self._source.read_at(start, end - start)
        if start < self._start or end > self._start + len(self._data):
            self._move(start, end - start)
        return self._data[start - self._start : end - self._start]

    def _move(self, at: int, wanted: int = 1) -> None:
        """Read on from here: more than before where little or nothing was passed over, else the least."""
        end = self._start + len(self._data)
        goes_on = self._start <= at < end + self._ahead
        self._ahead = min(2 * self._ahead, self._most) if goes_on else self._least
        kept = self._data[: at - self._start][-_BEHIND:] if self._start <= at <= end else b""
        length = min(max(self._ahead, wanted), self._source.size - at)
        if not self._source.is_local:
            self._source.prefetch([(at, length)])
        self._data, self._start = kept + self._source.read_at(at, length), at - len(kept)


class Message:
    """A message within a source; its fields can be walked, and their values read, each by itself."""

    def __init__(
        self, source: Source, meter: Meter, start: int, end: int, window: Window | None = None
    ) -> None:
        self.start = start
        self.end = end
        self._source = source
        self._meter = meter
        self._window = window or Window(source)

    def fields(self) -> Iterator[Field]:
        """All fields in order; raises UnreadableCheckpoint where one passes the end, LimitExceeded past a budget."""
        at = self.start
        steps = 0
        while at < self.end:
            steps += 1
            self._meter.spend("max_opcodes")
            if steps % _TICK == 0:
                self._meter.check_time()
            found = self._field(at)
            yield found
            at = found.end

    def inner(self, field: Field) -> "Message":
        """A field's value as a message, sharing the window that was read."""
        return Message(self._source, self._meter, field.start, field.end, self._window)

    def bytes(self, field: Field) -> bytes:
        """A field's value."""
        self._meter.check("max_string_bytes", field.length)
        return self._window.bytes(field.start, field.end)

    def text(self, field: Field) -> str:
        """A field's value as text, at most what a report shows."""
        self._meter.check("max_shown_text", field.length)
        self._meter.spend("max_header_bytes", field.length)
        return self.bytes(field).decode("utf-8", "backslashreplace")

    def integers(self, field: Field) -> list[int]:
        """A repeated integer field's values: one number, or a packed run of them."""
        if field.kind != BYTES:
            return [field.value]
        found: list[int] = []
        at = field.start
        self._meter.check("max_string_bytes", field.length)
        while at < field.end:
            self._meter.spend("max_opcodes")
            value, at = self._varint(at, field.end)
            found.append(value)
        return found

    def _field(self, at: int) -> Field:
        tag, at = self._varint(at, self.end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            start = at
            value, at = self._varint(at, self.end)
            return Field(number, value, start, at, kind)
        length = {FIXED64: 8, FIXED32: 4}.get(kind, 0)
        if kind == BYTES:
            length, at = self._varint(at, self.end)
        elif not length:
            raise self._broken(at, f"wire type {kind} is none that is written")
        if length > self.end - at or not number:
            raise self._broken(at, f"a field of {length:,} bytes, {self.end - at:,} are left")
        return Field(number, 0, at, at + length, kind)

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while shift < 70 and at < end:
            byte = self._window.byte(at)
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at
        raise self._broken(at, "a number has no end")

    def _broken(self, at: int, why: str) -> UnreadableCheckpoint:
        return UnreadableCheckpoint(f"protobuf@{at}: {why}", pointer=f"protobuf@{at}")
