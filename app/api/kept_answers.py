"""Answers that depend on their query alone, ready to be sent again."""

import time
from collections import OrderedDict
from dataclasses import dataclass

MAX_BYTES = 32 << 20
"""Most bytes of answers that are kept; those asked for longest ago go first."""

MAX_QUERY_BYTES = 2_048
"""Answers to longer queries are not kept."""

MAX_AGE_SECONDS = 5.0
"""How old a kept answer may be: what workers register meanwhile shows after that."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A successful answer as it was sent."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    kept_at: float
    """When, by the monotonic clock."""


class KeptAnswers:
    """Answers by query string, within MAX_BYTES."""

    def __init__(self) -> None:
        self._by_query: OrderedDict[bytes, KeptAnswer] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        """Times that an answer was found."""
        self.misses = 0
        """Times that none was."""

    def find(self, query: bytes) -> KeptAnswer | None:
        """The answer to this very query, unless it has become too old."""
        kept = self._by_query.get(query)
        if kept is not None and time.monotonic() - kept.kept_at > MAX_AGE_SECONDS:
            self._drop(query)
            kept = None
        if kept is None:
            self.misses += 1
            return None
        self.hits += 1
        self._by_query.move_to_end(query)
        return kept

    def keep(self, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Keep an answer, and let go of the oldest ones beyond MAX_BYTES."""
        if len(query) > MAX_QUERY_BYTES or len(body) > MAX_BYTES:
            return
        self._drop(query)
        self._by_query[query] = KeptAnswer(tuple(headers), body, time.monotonic())
        self._bytes += len(body)
        while self._bytes > MAX_BYTES:
            self._drop(next(iter(self._by_query)))

    def clear(self) -> None:
        """Forget all: what the answers rest on has changed."""
        self._by_query.clear()
        self._bytes = 0

    def _drop(self, query: bytes) -> None:
        kept = self._by_query.pop(query, None)
        self._bytes -= len(kept.body) if kept else 0
