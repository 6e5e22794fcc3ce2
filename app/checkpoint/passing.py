"""What is looked at while the whole file passes by to be hashed: it costs no read of its own.

Each record's local header, the end in which a zip may hide, the counts of a stream: a few bytes at very many places, or
very many at one. `Source.when_passed` asks for it; a file that is not hashed is read for it instead.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from app.checkpoint.source import Look, PassedSource, Source

MOST_SEEN: Final = 136 * 1024
"""Bytes that one look may be at: a local header with the longest name and extra field, or the end of a file."""


class Passing:
    """The looks to be taken at one file, each with where its bytes begin and end."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._looks: list[tuple[int, int, Look]] = []

    def add(self, offset: int, length: int, look: Look) -> None:
        """Have `look` called once these bytes, as far as they lie within the file, have passed."""
        end = min(self._source.size, offset + min(length, MOST_SEEN))
        self._looks.append((end, len(self._looks), look))

    def watch(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Hand on the file's blocks in order, and take each look as its last byte has passed."""
        waiting = sorted(self._looks, reverse=True)
        self._looks = []
        held, passed = b"", 0
        for block in blocks:
            held = held[-MOST_SEEN:] + block
            passed += len(block)
            seen = PassedSource(held, passed - len(held), self._source.size)
            while waiting and waiting[-1][0] <= passed:
                waiting.pop()[2](seen)
            yield block

    def settle(self) -> None:
        """Take what is outstanding now, by reading: an error, or a verdict that hangs on it, does not wait for the hash."""
        looks, self._looks = self._looks, []
        for _, _, look in looks:
            look(self._source)
