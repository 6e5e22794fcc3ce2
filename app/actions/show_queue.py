"""Say what runs, what waits and why, tier by tier."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from app.actions.explain_wait import Standing, explain_wait, read_standing
from app.errors import Unavailable
from app.jobs.fair_share import Waiter
from app.network.shape import DOCUMENTED
from app.queue import Queue
from app.registry.database import Database, Session
from app.registry.queue_state import Held, Waiting, line_of, running_jobs, show_waiting
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
    priority: int
    """Its priority; higher goes first."""
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
    """Live workers that take its jobs, of a larger tier too."""
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
        running = running_jobs(session)
        standings = read_standing(session, settings, broker)
        tiers = tuple(
            _describe_tier(session, settings.queue_name(tier), standing, running)
            for tier, standing in standings.items()
        )
    return QueueState(broker=broker, tiers=tiers)


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


def _describe_tier(session: Session, name: str, standing: Standing, running: Sequence[Held]) -> TierQueue:
    line = line_of(session, name)
    places = {waiter.job_id: place for place, waiter in enumerate(line, start=1)}
    return TierQueue(
        tier=standing.tier,
        queue=name,
        workers=standing.workers,
        running=tuple(view_running(held) for held in running if held.job.queue == name),
        waiting_count=len(line),
        waiting=tuple(
            _view_waiting(each, places[each.job.id], standing, line)
            for each in show_waiting(session, line[:SHOWN_WAITING])
        ),
    )


def _view_waiting(waiting: Waiting, place: int, standing: Standing, line: Sequence[Waiter]) -> WaitingJob:
    last = waiting.last_attempt
    ended = f"{last.outcome}: {last.reason}".removesuffix(": ") if last and last.outcome else ""
    return WaitingJob(
        job_id=waiting.job.id,
        name=waiting.job.name,
        place=place,
        priority=waiting.job.priority,
        since=waiting.since,
        why=explain_wait(standing, line, place, waiting.job.plan_version),
        last_attempt=ended,
    )
