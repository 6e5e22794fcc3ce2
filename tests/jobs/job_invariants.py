"""A job's row, attempts, events and checkpoints are those of the model, and legal by themselves."""

import itertools
from collections.abc import Sequence

from app.jobs.lifecycle import ENDED, MOVES, Desired, Outcome, State
from app.registry.tables import Attempt, Checkpoint, Event, Job
from tests.jobs.job_model import MAX_ATTEMPTS, ModelJob

LEGAL = {(str(source), str(move.target)) for move in MOVES for source in move.sources}


def check_row(job: Job, model: ModelJob) -> None:
    assert (job.state, job.desired) == (model.state, model.desired)
    assert (job.fence, job.attempt, job.failures) == (model.fence, len(model.outcomes), model.failures)
    assert (job.lease_expires_at is not None) == (model.lease is not None)
    assert job.resume_from == model.resume_from
    assert (job.error or {}).get("code") == model.error
    assert (job.result or {}).get("fence") == model.won_by
    assert (job.ended_at is not None) == model.has_ended
    assert (job.started_at is not None) == bool(model.outcomes)
    assert (job.priority, job.key_id, job.queue) == (model.priority, model.key, model.queue)
    assert job.used_seconds >= 0
    if model.error in {Outcome.CRASHED, Outcome.WORKER_LOST}:
        assert f"attempt {MAX_ATTEMPTS} of {MAX_ATTEMPTS}" in (job.error or {})["detail"]


def check_legal(job: Job) -> None:
    """What holds whatever the model says."""
    assert (job.lease_expires_at is not None) == (job.state == State.RUNNING)
    assert (job.ended_at is not None) == (job.state in ENDED)
    assert (job.result is not None) == (job.state == State.SUCCEEDED)
    assert (job.error is not None) == (job.state == State.FAILED)
    assert job.desired == Desired.RUN or job.state != State.QUEUED
    assert 0 <= job.failures < MAX_ATTEMPTS


def check_attempts(attempts: Sequence[Attempt], model: ModelJob) -> None:
    """They come first to last."""
    numbers = list(range(1, len(model.outcomes) + 1))
    assert [attempt.number for attempt in attempts] == [attempt.fence for attempt in attempts] == numbers
    assert [attempt.outcome for attempt in attempts] == model.outcomes
    assert [attempt.resumed_from for attempt in attempts] == model.resumed
    assert [attempt.ended_at is None for attempt in attempts] == [each is None for each in model.outcomes]
    told = [attempt.reason for attempt in attempts if attempt.outcome not in {None, Outcome.SUCCEEDED}]
    assert all(told)


def check_story(events: Sequence[Event], job: Job, model: ModelJob) -> None:
    """They come first to last."""
    assert job.last_event == model.events
    assert [event.seq for event in events] == list(range(1, model.events + 1))
    states = [str(event.data["state"]) for event in events if event.kind == "state"]
    assert states == model.story
    assert set(itertools.pairwise(states)) <= LEGAL


def check_checkpoints(live: Sequence[Checkpoint], model: ModelJob) -> None:
    """Those that are not deleted; what is resumed from is among them."""
    ids = {checkpoint.id for checkpoint in live}
    assert ids == {checkpoint_id for _, checkpoint_id in model.checkpoints}
    assert model.resume_from is None or model.resume_from in ids
