"""A deflated member that is decompressed as it is read and never held whole.

Readers go forward, so a window behind the present position is enough; who goes back begins anew, a few times.
"""

import zlib
from collections.abc import Callable, Iterable

from app.checkpoint.limits import Meter
from app.checkpoint.source import Look, Source, Span, check_range
from app.errors import UnreadableCheckpoint

_BLOCK = 1 << 16
_MOST_STARTS = 8


class InflatedSource:
    """The decompressed bytes of `packed`; `finish` gets their CRC once the end was reached, and where they are wrong a reason."""

    is_local = True

    def __init__(self, packed: Source, size: int, meter: Meter, finish: Callable[[int, str], None]) -> None:
        self.size = size
        self._packed = packed
        self._meter = meter
        self._finish = finish
        self._starts = 0
        self._begin()

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; raises UnreadableCheckpoint where the stream is damaged or is begun too often."""
        check_range(self.size, offset, length)
        if offset < self._kept_at:
            self._begin()
        while self._kept_at + len(self._kept) < offset + length:
            self._advance(offset)
        at = offset - self._kept_at
        return bytes(self._kept[at : at + length])

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Nothing to fetch: it is decompressed as it is read."""

    def when_passed(self, offset: int, length: int, look: Look) -> bool:  # noqa: ARG002
        """Never: what passes is compressed."""
        return False

    def _begin(self) -> None:
        self._starts += 1
        if self._starts > _MOST_STARTS:
            raise UnreadableCheckpoint(
                "a compressed member would have to be decompressed too often",
                hint="pack it without compression",
            )
        self._machine = zlib.decompressobj(-zlib.MAX_WBITS)
        self._taken = 0
        self._crc = 0
        self._kept = bytearray()
        self._kept_at = 0

    def _advance(self, wanted_from: int) -> None:
        """Decompress one more block, and drop what lies before `wanted_from`."""
        self._meter.check_time()
        made = self._inflate()
        self._crc = zlib.crc32(made, self._crc)
        unwanted = min(max(0, wanted_from - self._kept_at), len(self._kept))
        del self._kept[:unwanted]
        self._kept_at += unwanted
        self._kept += made
        if self._kept_at + len(self._kept) >= self.size:
            self._end()

    def _inflate(self) -> bytes:
        waiting = self._machine.unconsumed_tail
        if not waiting:
            length = min(_BLOCK, self._packed.size - self._taken)
            waiting = self._packed.read_at(self._taken, length)
            self._taken += length
        try:
            made = self._machine.decompress(waiting, _BLOCK)
        except zlib.error as error:
            raise UnreadableCheckpoint(f"its compressed bytes are damaged ({error})") from None
        if not made and (self._machine.eof or self._taken >= self._packed.size):
            raise UnreadableCheckpoint(f"it does not decompress to the {self.size:,} bytes that it declares")
        return made

    def _end(self) -> None:
        """All declared bytes are there: nothing may follow, and their checksum is known."""
        rest = self._machine.unconsumed_tail + self._packed.read_at(
            self._taken, min(64, self._packed.size - self._taken)
        )
        is_more = self._kept_at + len(self._kept) > self.size or self._machine.decompress(rest, 1)
        is_whole = self._machine.eof and not is_more
        self._finish(
            self._crc,
            "" if is_whole else f"it does not decompress to the {self.size:,} bytes that it declares",
        )
