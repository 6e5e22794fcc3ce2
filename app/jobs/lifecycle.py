"""A job's states and the legal moves between them: one table, used by every guarded UPDATE.

queued ──claim──> running ──finish──> succeeded
│ ^               │ │ └───fail────> failed ────┐
│ └────requeue────┘ └────stop─────> cancelled ─┤
└──────withdraw─────────────────────────^      │
^───────────────────resume─────────────────────┘
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.errors import IllegalMove


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Desired(StrEnum):
    """What the user wants of a job that a worker holds."""

    RUN = "run"
    CANCEL = "cancel"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # the worker was asked to stop; costs the job no attempt
    CRASHED = "crashed"  # the trainer died without a word: out of memory, a signal
    WORKER_LOST = "worker_lost"  # the lease ran out


@dataclass(frozen=True, slots=True)
class Move:
    """One legal change of state."""

    name: str
    sources: frozenset[State]
    target: State


def _move(name: str, sources: set[State], target: State) -> Move:
    return Move(name, frozenset(sources), target)


CLAIM = _move("claim", {State.QUEUED}, State.RUNNING)
FINISH = _move("finish", {State.RUNNING}, State.SUCCEEDED)
FAIL = _move("fail", {State.RUNNING}, State.FAILED)
STOP = _move("stop", {State.RUNNING}, State.CANCELLED)
REQUEUE = _move("requeue", {State.RUNNING}, State.QUEUED)
WITHDRAW = _move("withdraw", {State.QUEUED}, State.CANCELLED)
RESUME = _move("resume", {State.FAILED, State.CANCELLED}, State.QUEUED)

MOVES = (CLAIM, FINISH, FAIL, STOP, REQUEUE, WITHDRAW, RESUME)
"""Every legal move; nothing else may change a job's state."""

ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
"""States in which no worker holds or awaits the job."""


def refuse_move(wish: str, allowed: Iterable[State], state: State, job_id: str) -> IllegalMove:
    """The error for a wish, such as to have it `cancelled`, that the job's state does not allow."""
    hint = f"allowed when: {', '.join(sorted(allowed))}"
    return IllegalMove(f"job {job_id} is {state}; it cannot be {wish}", hint=hint, state=state)
