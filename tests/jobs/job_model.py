"""What a job must be after everything that was done to it: the contract of the queue, told once more and in plain Python."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.jobs.lifecycle import ENDED, Desired, Outcome, State
from app.registry.attempts import DEADLINE

MAX_ATTEMPTS = 2
SPENT, AMPLE = -1.0, 1e6
"""Limits of time: one that every attempt is over at once, one that none reaches."""


@dataclass
class ModelJob:
    """One job as it must stand in the registry."""

    job_id: str
    queue: str
    priority: int
    key: str | None
    plan_version: int
    max_seconds: float | None
    place: int
    """How late its user queued it."""
    state: State = State.QUEUED
    desired: Desired = Desired.RUN
    fence: int = 0
    failures: int = 0
    lease: float | None = None
    """Seconds that the lease was given; negative where it has run out."""
    outcomes: list[str | None] = field(default_factory=list)
    """Of each attempt; None while it runs."""
    resumed: list[str | None] = field(default_factory=list)
    """The checkpoint that each attempt went on from."""
    story: list[str] = field(default_factory=lambda: [str(State.QUEUED)])
    events: int = 1
    checkpoints: list[tuple[int, str]] = field(default_factory=list)
    """Step and id of those that are not deleted."""
    resume_from: str | None = None
    error: str | None = None
    won_by: int | None = None
    wakes: int = 1
    """Wake-ups that were written for it, the sweep's aside."""

    @property
    def is_held(self) -> bool:
        """Whether a worker holds it."""
        return self.state == State.RUNNING

    def holds(self, fence: int) -> bool:
        """Whether this fence does."""
        return self.is_held and self.fence == fence

    def move(self, state: State) -> None:
        """Another state, and an event of it."""
        self.state = state
        self.story.append(str(state))
        self.events += 1

    def claim(self, lease: float) -> None:
        """A worker takes it."""
        self.fence += 1
        self.lease, self.error = lease, None
        self.outcomes.append(None)
        self.resumed.append(self.resume_from)
        self.move(State.RUNNING)

    def end(self, state: State, outcome: Outcome, error: str | None = None) -> None:
        """Its attempt ends."""
        self.outcomes[-1] = str(outcome)
        self.lease, self.error = None, error
        self.won_by = self.fence if state == State.SUCCEEDED else None
        self.move(state)

    def requeue(self, outcome: Outcome, failures: int = 0) -> None:
        """It waits again, unless its user wants it cancelled or its time is over."""
        if self.desired == Desired.CANCEL:
            self.end(State.CANCELLED, Outcome.CANCELLED)
        elif self.max_seconds == SPENT:
            self.expire()
        else:
            self.failures += failures
            self.end(State.QUEUED, outcome)
            self.wakes += 1

    def lose(self, outcome: Outcome) -> None:
        """Its trainer crashed, or its worker was lost."""
        if self.desired == Desired.RUN and self.failures + 1 >= MAX_ATTEMPTS:
            self.end(State.FAILED, outcome, str(outcome))
        else:
            self.requeue(outcome, failures=1)

    def expire(self) -> None:
        """Its time is over."""
        if self.desired == Desired.CANCEL:
            self.end(State.CANCELLED, Outcome.CANCELLED)
        else:
            self.end(State.FAILED, Outcome.FAILED, DEADLINE)

    def cancel(self) -> None:
        """Its user wants it no more."""
        if self.state == State.QUEUED:
            self.move(State.CANCELLED)
        elif self.desired != Desired.CANCEL:
            self.desired = Desired.CANCEL
            self.events += 1

    def resume(self, place: int) -> None:
        """Its user wants it after all."""
        self.desired, self.failures, self.error, self.place = Desired.RUN, 0, None, place
        self.move(State.QUEUED)
        self.wakes += 1

    def keep(self, checkpoint_id: str) -> None:
        """Its trainer saved a checkpoint."""
        self.checkpoints.append((self.fence, checkpoint_id))
        self.resume_from = checkpoint_id

    def delete(self, checkpoint_id: str) -> None:
        """A checkpoint is deleted; where it would have resumed from that one, it falls back."""
        self.checkpoints = [each for each in self.checkpoints if each[1] != checkpoint_id]
        if self.resume_from == checkpoint_id:
            self.resume_from = max(self.checkpoints)[1] if self.checkpoints else None

    @property
    def has_ended(self) -> bool:
        """Whether no worker holds or awaits it."""
        return self.state in ENDED


def first_of(
    jobs: Iterable[ModelJob], queues: Sequence[str], used: Mapping[str, Mapping[str, float]]
) -> ModelJob | None:
    """The job that a worker of these queues must get, by plans of version 1."""
    jobs = list(jobs)
    for queue in queues:
        running = Counter(job.key or "" for job in jobs if job.is_held and job.queue == queue)
        waiting = [
            job for job in jobs if job.state == State.QUEUED and job.queue == queue and job.plan_version == 1
        ]
        if waiting:
            spent = used[queue]
            return min(
                waiting,
                key=lambda job: (
                    -job.priority,
                    running[job.key or ""],
                    spent.get(job.key or "", 0.0),
                    job.place,
                ),
            )
    return None
