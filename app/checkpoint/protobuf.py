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
_WINDOW: Final = 8_192
_TICK: Final = 1_024


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


class Message:
    """A message within a source; its fields can be walked, and their values read, each by itself."""

    def __init__(self, source: Source, meter: Meter, start: int, end: int) -> None:
        self.source = source
        self.start = start
        self.end = end
        self._meter = meter
        self._window = b""
        self._window_at = 0

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
        message = Message(self.source, self._meter, field.start, field.end)
        message._window, message._window_at = self._window, self._window_at
        return message

    def bytes(self, field: Field) -> bytes:
        """A field's value."""
        self._meter.check("max_string_bytes", field.length)
        if self._window_at <= field.start and field.end <= self._window_at + len(self._window):
            return self._window[field.start - self._window_at : field.end - self._window_at]
        return self.source.read_at(field.start, field.length)

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
            byte = self._byte(at)
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at
        raise self._broken(at, "a number has no end")

    def _byte(self, at: int) -> int:
        if not self._window_at <= at < self._window_at + len(self._window):
            self._window_at = at
            self._window = self.source.read_at(at, min(_WINDOW, self.source.size - at))
        return self._window[at - self._window_at]

    def _broken(self, at: int, why: str) -> UnreadableCheckpoint:
        return UnreadableCheckpoint(f"protobuf@{at}: {why}", pointer=f"protobuf@{at}")
