"""Who runs next: the order in which the workers of a tier take the jobs that wait for it.

The highest priority first; within it the key that runs the fewest jobs of the tier now, then the one that used the
least of its time lately, then the job that its user queued first. `app.registry.claims` says the same in SQL, one job
at a time; here the whole line is told, as it would be taken if no running job ended meanwhile.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

HALF_LIFE_SECONDS = 7 * 86_400
"""After this time a second of use counts half."""
LANDMARK = 1_767_225_600.0
"""2026-01-01 in epoch seconds: use counts 1 there, and a double holds it until 2045."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """A job that waits, and what its place depends on."""

    job_id: str
    """The job."""
    key: str
    """The key that submitted it; empty where keys are off."""
    priority: int
    """Its priority."""
    queued_at: datetime
    """When its user queued it."""


def line_up(waiters: Iterable[Waiter], running: Mapping[str, int], used: Mapping[str, float]) -> list[Waiter]:
    """The waiters of one tier in the order in which they will be taken.

    `running` are jobs of the tier that each key runs now, `used` what each has used lately; 0 where left out.
    """
    counts = dict(running)
    line: list[Waiter] = []
    by_priority = sorted(waiters, key=lambda each: (-each.priority, each.queued_at, each.job_id))
    for _, equals in groupby(by_priority, key=lambda each: each.priority):
        line += _take_turns(list(equals), counts, used)
    return line


def weigh(seconds: float, at: float) -> float:
    """What these seconds of use, which ended at this epoch second, count beside all earlier and later ones.

    Older use is not made smaller with time, newer is made larger (Cormode et al. 2009, "Forward decay"): the order
    of keys is the same, and a sum is enough to keep.
    """
    return float(seconds * 2.0 ** ((at - LANDMARK) / HALF_LIFE_SECONDS))


def _take_turns(equals: list[Waiter], counts: dict[str, int], used: Mapping[str, float]) -> list[Waiter]:
    """Jobs of equal priority, oldest first, in their order; `counts` grows as they are taken."""
    lines: dict[str, deque[Waiter]] = {}
    for waiter in equals:
        lines.setdefault(waiter.key, deque()).append(waiter)
    heap = [_rank(line[0], counts, used) for line in lines.values()]
    heapq.heapify(heap)
    taken = []
    while heap:
        key = heapq.heappop(heap)[-1]
        taken.append(lines[key].popleft())
        counts[key] = counts.get(key, 0) + 1
        if lines[key]:
            heapq.heappush(heap, _rank(lines[key][0], counts, used))
    return taken


def _rank(
    first: Waiter, counts: Mapping[str, int], used: Mapping[str, float]
) -> tuple[int, float, datetime, str, str]:
    key = first.key
    return counts.get(key, 0), used.get(key, 0.0), first.queued_at, first.job_id, key
