"""What the registry tells /metrics: a few counts, each answered by an index, in one session."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from app.jobs.lifecycle import FINISH, State
from app.registry.consumption import busy_workers
from app.registry.database import DatabaseNow
from app.registry.tables import Attempt, Checkpoint, Event, Job, Message, WeightsDiff, utc_now
from app.registry.workers import live_workers


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait, and how long the one has waited that waits longest."""

    count: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class RunningTier:
    """What the running jobs of a tier do together, as each said last."""

    steps_per_second: float
    """Environment steps a second, of all."""
    largest_bytes: float
    """Most memory that one of them takes."""


@dataclass(frozen=True, slots=True)
class StoredKind:
    """The checkpoints of one kind that are not deleted."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WorkerCount:
    """Live workers of a tier."""

    alive: int
    busy: int


@dataclass(frozen=True, slots=True)
class Measures:
    """The registry at one moment; equal for every API process that asks then."""

    jobs: Mapping[tuple[str, str], int]
    """Jobs by state and tier."""
    waiting: Mapping[str, Waiting]
    """Queued jobs by tier."""
    running: Mapping[str, RunningTier]
    """What runs, by tier."""
    workers: Mapping[str, WorkerCount]
    """Live workers by tier."""
    attempts: Mapping[str, int]
    """Ended attempts by outcome, of all time."""
    leases_overdue: int
    """Running jobs whose lease has expired and that the reaper has not yet taken up."""
    outbox: Waiting
    """Wake-ups that the relay has not yet sent."""
    weights_diffs: int
    """Comparisons of weights that wait for a worker."""
    checkpoints: Mapping[str, StoredKind]
    """Checkpoints by kind."""


def take_measures(session: Session, within_seconds: float) -> Measures:
    """Count; a worker counts as live that was heard of within this time."""
    states = select(Job.state, Job.tier, func.count()).group_by(Job.state, Job.tier)
    outcomes = select(Attempt.outcome, func.count()).where(Attempt.outcome.is_not(None))
    kinds = select(Checkpoint.kind, func.count(), func.sum(Checkpoint.bytes))
    live = kinds.where(Checkpoint.deleted_at.is_(None)).group_by(Checkpoint.kind)
    overdue = select(func.count()).where(Job.state.in_(FINISH.sources), Job.lease_expires_at < DatabaseNow())
    diffs = select(func.count()).where(WeightsDiff.state == "queued")
    return Measures(
        jobs={(state, tier): int(count) for state, tier, count in session.execute(states)},
        waiting=_waiting(session),
        running=_running(session),
        workers=_workers(session, within_seconds),
        attempts={str(o): int(n) for o, n in session.execute(outcomes.group_by(Attempt.outcome))},
        leases_overdue=int(session.scalar(overdue) or 0),
        outbox=_outbox(session),
        weights_diffs=int(session.scalar(diffs) or 0),
        checkpoints={kind: StoredKind(int(n), int(size)) for kind, n, size in session.execute(live)},
    )


def _waiting(session: Session) -> dict[str, Waiting]:
    """A queued job's newest event is the one that queued it."""
    newest = and_(Event.job_id == Job.id, Event.seq == Job.last_event)
    queued = select(Job.tier, func.count(), func.min(Event.created_at)).join(Event, newest)
    now = utc_now()
    return {
        tier: Waiting(int(count), max(0.0, (now - since).total_seconds()))
        for tier, count, since in session.execute(queued.where(Job.state == State.QUEUED).group_by(Job.tier))
    }


def _running(session: Session) -> dict[str, RunningTier]:
    said: dict[str, list[tuple[float, float]]] = defaultdict(list)
    rows = select(Job.tier, Job.progress).where(Job.state == State.RUNNING)
    for tier, progress in session.execute(rows):
        speed, memory = progress.get("steps_per_second"), progress.get("memory_bytes")
        said[tier].append((float(speed or 0.0), float(memory or 0.0)))
    return {
        tier: RunningTier(sum(speed for speed, _ in each), max(memory for _, memory in each))
        for tier, each in said.items()
    }


def _workers(session: Session, within_seconds: float) -> dict[str, WorkerCount]:
    busy = busy_workers(session)
    found: dict[str, list[bool]] = defaultdict(list)
    for worker in live_workers(session, within_seconds):
        found[worker.tier].append(worker.id in busy)
    return {tier: WorkerCount(len(each), sum(each)) for tier, each in found.items()}


def _outbox(session: Session) -> Waiting:
    count, oldest = session.execute(select(func.count(), func.min(Message.created_at))).one()
    return Waiting(int(count), max(0.0, (utc_now() - oldest).total_seconds()) if oldest else 0.0)
