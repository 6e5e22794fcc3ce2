"""Reading a file by ranges in the order of its bytes: ahead of what is asked, in few requests."""

from collections.abc import Callable

AHEAD_BYTES = 4 << 20
"""How much is fetched, and kept, at once."""


class ReadAhead:
    """Gives ranges of a file; the last window that was fetched is kept."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, ahead: int = AHEAD_BYTES) -> None:
        self._read = read
        self.size = size
        self._ahead = ahead
        self._start = 0
        self._kept = b""

    def kept(self, offset: int, length: int) -> bytes | None:
        """The bytes, where they are at hand."""
        at = offset - self._start
        return self._kept[at : at + length] if at >= 0 and at + length <= len(self._kept) else None

    def __call__(self, offset: int, length: int) -> bytes:
        """The bytes at (offset, length), fewer only at the file's end."""
        length = max(0, min(length, self.size - offset))
        data = self.kept(offset, length)
        if data is None:
            wanted = min(max(length, self._ahead), self.size - offset)
            self._start, self._kept = offset, self._read(offset, wanted)
            data = self._kept[:length]
        return data
