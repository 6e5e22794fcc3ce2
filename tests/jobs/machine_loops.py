"""What the API's loops do in the state machine of jobs: relay, reap, send again; and a Redis that fails them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from app.actions.relay_messages import relay_messages
from app.actions.sweep_queue import reap_leases, resend_messages
from app.errors import Unavailable
from app.jobs.lifecycle import Outcome, State
from tests.jobs.job_model import SPENT
from tests.jobs.machine_base import QUEUES, Registered
from tests.jobs.machine_workers import WORKERS

LATE: Any = SimpleNamespace(cancel_grace_seconds=0.0, lease_seconds=-1.0)
"""Settings by which every deadline that came is long overdue."""


class RelayDied(BaseException):
    """The relay's process was killed between two messages."""


class Broker:
    """Redis as the loops see it: takes messages, counts them, refuses or kills after some."""

    def __init__(self) -> None:
        self.queues: dict[str, list[str]] = {queue: [] for queue in QUEUES}
        self.left: float = float("inf")
        self.trouble: BaseException = Unavailable("Redis does not answer")

    def send(self, queue: str, job_id: str, fence: int) -> None:
        if self.left <= 0:
            raise self.trouble
        self.left -= 1
        self.queues[queue].append(f"{job_id}:{fence}")

    def length(self, queue: str) -> int:
        return len(self.queues[queue])

    @contextmanager
    def failing(self, trouble: BaseException, after: int) -> Iterator[None]:
        self.left, self.trouble = after, trouble
        with suppress(type(trouble)):
            yield
        self.left = float("inf")


class Loops(Registered):
    """Relay, reap and re-send."""

    def __init__(self) -> None:
        super().__init__()
        self.broker: Any = Broker()

    @rule(
        turn=st.sampled_from(
            ("reap", "reap", "relay", "relay_refused", "relay_dies", "flush_broker", "resend")
        ),
        after=st.integers(0, 2),
    )
    def loop_turns(self, turn: str, after: int) -> None:
        getattr(self, turn)(after)

    def reap(self, _after: int = 0) -> None:
        """Every lease that ran out costs an attempt; of the others those end whose deadline passed."""
        held = [job for job in self.model.values() if job.is_held]
        lost = [job for job in held if job.lease is not None and job.lease < 0]
        for job in lost:
            with self.waking(job):
                job.lose(Outcome.WORKER_LOST)
        overdue = [job for job in held if job not in lost and job.max_seconds == SPENT]
        for job in overdue:
            job.expire()
        assert reap_leases(self.database, LATE) == len(lost) + len(overdue)

    def relay(self, _after: int = 0) -> None:
        assert relay_messages(self.database, self.broker) == self.outbox.total()
        self.outbox.clear()

    def relay_refused(self, after: int) -> None:
        """What was sent before Redis fell silent is dropped, the rest stays."""
        pending = self.pending()
        with self.broker.failing(Unavailable("Redis does not answer"), after):
            relay_messages(self.database, self.broker)
        self.outbox -= Counter(pending[:after])

    def relay_dies(self, after: int) -> None:
        """A relay that dies between sending and dropping sends twice, and loses nothing."""
        survives = len(self.pending()) <= after
        with self.broker.failing(RelayDied(), after):
            relay_messages(self.database, self.broker)
        if survives:
            self.outbox.clear()

    def flush_broker(self, _after: int = 0) -> None:
        self.broker = Broker()

    def resend(self, _after: int = 0) -> None:
        """A queue gets as many wake-ups as are missing, for the jobs that are last in line."""
        known = {job_id for job_id, _ in self.outbox}
        live = bool(set(WORKERS) - self.leaving)
        missing = []
        for queue in QUEUES:
            silent = [
                job
                for job in self.model.values()
                if job.state == State.QUEUED
                and job.queue == queue
                and job.job_id not in known
                and (job.plan_version == 1 or not live)
            ]
            silent.sort(key=lambda job: (-job.priority, job.job_id))
            missing += silent[min(len(silent), self.broker.length(queue)) :]
        wide: Any = SimpleNamespace(lease_seconds=600.0)
        assert resend_messages(self.database, self.broker, wide) == len(missing)
        assert Counter(job.job_id for job in missing) == Counter(
            job_id for job_id, _ in (Counter(self.pending()) - self.outbox).elements()
        )
        self.outbox.update((job.job_id, job.fence) for job in missing)
