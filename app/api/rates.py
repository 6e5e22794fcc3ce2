"""Token buckets: so many requests at once, then so many a second. In this process: each API process counts by itself.

Not in Redis: that would be a round trip before every answer of microseconds, and jobs are accepted while Redis is
down. What a rate protects, a process' own time, grows with the number of processes; what must hold across them all,
the quotas, is counted in the registry.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_NAMES = 10_000
"""Buckets that are kept; the one that was asked longest ago goes, and begins full again."""


class TokenBuckets:
    """A bucket of `burst` tokens for each name, filled again by `rate` a second. Not for several threads."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take a token; 0.0, or the seconds until there is one."""
        now = self._clock()
        tokens, filled = self._buckets.pop(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - filled) * self._rate)
        wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / self._rate
        self._buckets[name] = (tokens if wait else tokens - 1.0, now)
        if len(self._buckets) > MOST_NAMES:
            self._buckets.popitem(last=False)
        return wait

    def give_back(self, name: str) -> None:
        """Put a token back that was taken in vain."""
        tokens, filled = self._buckets.get(name, (self._burst, self._clock()))
        self._buckets[name] = (min(self._burst, tokens + 1.0), filled)
