"""What holds of a job's row, attempts, events and checkpoints at any moment."""

import itertools
from dataclasses import dataclass

from sqlalchemy import func, select

from app.jobs.lifecycle import ENDED, MOVES, Desired, Outcome, State
from app.registry.attempts import list_attempts
from app.registry.database import Session
from app.registry.events import events_after
from app.registry.tables import Checkpoint, Job

LEGAL = {(str(source), str(move.target)) for move in MOVES for source in move.sources}
MAX_ATTEMPTS = 2
ATTEMPT_STATES = {
    Outcome.SUCCEEDED: State.SUCCEEDED,
    Outcome.FAILED: State.FAILED,
    Outcome.CANCELLED: State.CANCELLED,
}


@dataclass
class Seen:
    """What an earlier look at a job found."""

    fence: int = 0
    attempt: int = 0
    events: int = 0


def check_counts(session: Session, job: Job, seen: Seen) -> None:
    assert job.fence >= seen.fence
    assert job.fence == job.attempt
    attempts = list_attempts(session, job.id)
    assert [(a.number, a.fence) for a in attempts] == [(n, n) for n in range(1, job.attempt + 1)]
    assert all(attempt.ended_at is not None for attempt in attempts[:-1])
    assert 0 <= job.failures < MAX_ATTEMPTS
    open_ones = [attempt for attempt in attempts if attempt.outcome is None]
    assert len(open_ones) == (job.state == State.RUNNING)


def check_row(job: Job, won_by: int) -> None:
    assert (job.lease_expires_at is not None) == (job.state == State.RUNNING)
    assert (job.ended_at is not None) == (job.state in ENDED)
    assert (job.result is not None) == (job.state == State.SUCCEEDED)
    assert (job.error is not None) == (job.state == State.FAILED)
    assert job.desired == Desired.RUN or job.state != State.QUEUED
    if job.result is not None:
        assert job.result["fence"] == job.fence == won_by


def check_story(session: Session, job: Job, seen: Seen) -> None:
    events = events_after(session, job.id, 0, 10_000)
    assert [event.seq for event in events] == list(range(1, job.last_event + 1))
    assert job.last_event >= seen.events
    states = [str(event.data["state"]) for event in events if event.kind == "state"]
    assert states[0] == State.QUEUED
    assert states[-1] == job.state
    assert set(itertools.pairwise(states)) <= LEGAL
    attempts = list_attempts(session, job.id)
    if attempts and attempts[-1].outcome in ATTEMPT_STATES and job.state != State.QUEUED:
        # A job that was resumed and then withdrawn is cancelled, however its last attempt ended.
        assert job.state in (ATTEMPT_STATES[Outcome(attempts[-1].outcome)], State.CANCELLED)
    kept = (
        select(func.count())
        .select_from(Checkpoint)
        .where(Checkpoint.id == job.resume_from, Checkpoint.deleted_at.is_(None))
    )
    assert job.resume_from is None or session.scalar(kept) == 1
    seen.fence, seen.attempt, seen.events = job.fence, job.attempt, job.last_event
