"""Say what runs, what waits and why, tier by tier."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from app.errors import Unavailable
from app.network.shape import DOCUMENTED
from app.network.tiers import TIERS
from app.queue import Queue
from app.registry.database import Database
from app.registry.queue_state import Held, Waiting, running_jobs, waiting_jobs
from app.registry.workers import live_workers
from app.settings import Settings

SHOWN_WAITING = 50
"""Waiting jobs that are listed for a tier; the count is of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job that a worker holds."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    job_id: str
    """The job."""
    name: str
    """Its name."""
    attempt: int
    """Number of the attempt."""
    worker: str
    """Who holds it."""
    started_at: datetime
    """When this attempt began."""
    heartbeat_at: datetime
    """When its worker was last heard of."""
    progress: dict[str, Any]
    """Where the run is; empty before the first update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJob:
    """A job that waits for a worker."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    job_id: str
    """The job."""
    name: str
    """Its name."""
    place: int
    """Its place in the tier's queue; 1 is next."""
    since: datetime
    """When it was queued, or queued again."""
    why: str
    """What it waits for."""
    last_attempt: str
    """How its last attempt ended; empty where it was not tried yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierQueue:
    """One tier's queue."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    tier: str
    """Name of the tier."""
    queue: str
    """Name of its queue."""
    workers: int
    """Live workers that consume it."""
    running: tuple[RunningJob, ...]
    """What they run, the longest running first."""
    waiting_count: int
    """Jobs that wait."""
    waiting: tuple[WaitingJob, ...]
    """The first 50 of them, the next one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """All tiers' queues, the largest tier first."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    broker: str
    """`ok`, or why the broker that wakes the workers does not answer; jobs then wait in the registry."""
    tiers: tuple[TierQueue, ...]
    """Every tier, with or without a worker."""


def show_queue(database: Database, queue: Queue, settings: Settings) -> QueueState:
    """The state of all queues; a broker that does not answer is told, not raised."""
    broker = _ask_broker(queue)
    with database.read() as session:
        running, waiting = running_jobs(session), waiting_jobs(session)
        alive = [worker.queue for worker in live_workers(session, settings.lease_seconds)]
    served = [tier for tier in TIERS if settings.queue_name(tier) in alive]
    tiers = []
    for tier in TIERS:
        name = settings.queue_name(tier)
        held = [each for each in running if each.job.queue == name]
        lined_up = [each for each in waiting if each.job.queue == name]
        counts = Counts(alive.count(name), len(held), broker, tuple(served))
        tiers.append(_describe_tier(tier, name, held, lined_up, counts))
    return QueueState(broker=broker, tiers=tuple(tiers))


@dataclass(frozen=True, slots=True)
class Counts:
    """What a waiting job's reason depends on."""

    workers: int
    running: int
    broker: str
    served: tuple[str, ...]
    """Tiers that have a worker."""


def explain_wait(tier: str, place: int, counts: Counts) -> str:
    """Why the job at this place of a tier's queue does not run yet."""
    if counts.workers == 0:
        others = f"; tiers with one: {', '.join(counts.served)}" if counts.served else ""
        return f"no worker consumes the {tier} queue{others}"
    if counts.broker != "ok":
        return "the broker that wakes the workers does not answer; the job starts once it does"
    if place <= counts.workers - counts.running:
        return "a worker of its tier is free and about to take it"
    ahead = [f"{counts.running} running"] if counts.running else []
    ahead += [f"{place - 1} waiting"] if place > 1 else []
    return f"behind {' and '.join(ahead)} on this tier"


def view_running(held: Held) -> RunningJob:
    """A held job as it is shown."""
    return RunningJob(
        job_id=held.job.id,
        name=held.job.name,
        attempt=held.attempt.number,
        worker=held.attempt.worker,
        started_at=held.attempt.started_at,
        heartbeat_at=held.attempt.heartbeat_at,
        progress=held.job.progress,
    )


def _ask_broker(queue: Queue) -> str:
    try:
        queue.ping()
    except Unavailable as error:
        return error.detail
    return "ok"


def _describe_tier(
    tier: str, name: str, held: Sequence[Held], waiting: Sequence[Waiting], counts: Counts
) -> TierQueue:
    return TierQueue(
        tier=tier,
        queue=name,
        workers=counts.workers,
        running=tuple(view_running(each) for each in held),
        waiting_count=len(waiting),
        waiting=tuple(
            _view_waiting(each, place, explain_wait(tier, place, counts))
            for place, each in enumerate(waiting[:SHOWN_WAITING], start=1)
        ),
    )


def _view_waiting(waiting: Waiting, place: int, why: str) -> WaitingJob:
    last = waiting.last_attempt
    ended = f"{last.outcome}: {last.reason}".removesuffix(": ") if last and last.outcome else ""
    return WaitingJob(
        job_id=waiting.job.id,
        name=waiting.job.name,
        place=place,
        since=waiting.since,
        why=why,
        last_attempt=ended,
    )
