"""Prove that queues are consumed: a worker that has nothing to do takes a probe from its queue, the way it takes a job.

That a worker's loop turns and its row is fresh says nothing of its consumer: it may listen to another Redis, under
another prefix, to another queue, or have stopped to listen. So a probe is put into each queue that has an idle worker;
the worker's consumer takes it, drops it and notes when (worker/probe.py). A worker that is busy takes no message and
is asked for none. Where messages wait already they are the probe.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from app.errors import Unavailable
from app.network.tiers import TIERS
from app.queue import Queue
from app.registry.consumption import Consumer, list_consumers
from app.registry.database import Database
from app.settings import Settings

OK = "ok"
"""The state of a queue that is consumed."""

UNPROVEN = "no worker has taken a message yet; one was asked to a moment ago"
"""The state of a queue whose first proof is on its way."""

PATIENCE = 3
"""How many times `probe_seconds` a message may wait beside an idle worker: between two jobs it needs a moment."""

LEAST_SECONDS = 0.2
"""Least time between two looks, however often they are asked for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A queue at the last look."""

    idle: int
    """Live workers that hold no job."""
    waiting_since: float | None
    """Since when a message waits beside an idle worker, by the monotonic clock; None where none does."""
    is_proven: bool
    """Whether a message was taken since this process has looked, or shortly before."""


class ConsumptionProof:
    """Asks the queues for proof, turn by turn, and says how each stands; several API processes share the proofs."""

    def __init__(
        self,
        database: Database,
        queue: Queue,
        settings: Settings,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._queue = queue
        self._settings = settings
        self._now = now
        self._seen: Mapping[str, Seen] = {}
        self._looked_at = -math.inf

    def __call__(self) -> None:
        """Look at every queue that has a live worker. Raises Unavailable; the clocks then begin anew."""
        now = self._now()
        if now - self._looked_at < LEAST_SECONDS:
            return
        self._looked_at = now
        try:
            with self._database.read() as session:
                found = list_consumers(session, self._settings.lease_seconds)
            found = sorted(found, key=lambda consumer: consumer.queue)
            grouped = groupby(found, key=lambda consumer: consumer.queue)
            self._seen = {name: self._look(name, list(group), now) for name, group in grouped}
        except Unavailable:
            self._seen = {}
            raise

    def states(self, queues: Sequence[str]) -> dict[str, str]:
        """How each of these queues stands, by name: `ok`, or what is wrong."""
        return {name: self._state(name) for name in queues}

    def _state(self, name: str) -> str:
        if name not in {self._settings.queue_name(tier) for tier in TIERS}:
            return "no job is ever sent to this queue: its worker was given another prefix, or a wrong -Q"
        seen, now = self._seen.get(name), self._now()
        if seen is None:
            return UNPROVEN
        if seen.waiting_since is None:
            return OK
        waited = now - seen.waiting_since
        if waited > PATIENCE * self._settings.probe_seconds:
            return f"a message has waited {waited:.0f} s beside {seen.idle} idle worker(s): none takes it"
        return OK if seen.is_proven else UNPROVEN

    def _look(self, name: str, group: Sequence[Consumer], now: float) -> Seen:
        before = self._seen.get(name)
        idle = [consumer for consumer in group if not consumer.is_busy]
        age = min((consumer.age for consumer in group if consumer.age is not None), default=math.inf)
        recent = age <= PATIENCE * self._settings.probe_seconds
        proven = recent or (before is not None and before.is_proven)
        if not idle:
            return Seen(0, None, proven)
        since = before.waiting_since if before is not None else None
        is_answered = age <= self._settings.probe_seconds or (since is not None and age < now - since)
        if is_answered and age <= self._settings.probe_seconds:
            return Seen(len(idle), None, is_proven=True)
        waits = self._ask(name, all(consumer.answers_probes for consumer in idle))
        if not waits:
            return Seen(len(idle), None, is_proven=True)
        return Seen(len(idle), now if since is None or is_answered else since, proven)

    def _ask(self, name: str, with_probe: bool) -> bool:  # noqa: FBT001 - said at its one call
        """Put a probe into a queue that is empty; whether a message waits there now."""
        if self._queue.length(name):
            return True
        if with_probe:
            self._queue.probe(name)
        return with_probe
