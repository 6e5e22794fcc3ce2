"""What every rule of the state machine of jobs needs: the registry, the model beside it, and whether they agree."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant
from sqlalchemy import delete, select

from app.errors import IllegalMove
from app.jobs.lifecycle import State
from app.registry.attempts import Hold
from app.registry.database import Database, Session
from app.registry.outbox import next_messages
from app.registry.tables import Attempt, Base, Checkpoint, Event, Job, Message
from tests.jobs.job_invariants import check_attempts, check_checkpoints, check_legal, check_row, check_story
from tests.jobs.job_model import ModelJob

QUEUES = ("caliper.mid", "caliper.cpu")


class Registered(RuleBasedStateMachine):
    """A registry and its model."""

    database: Database
    jobs: Bundle[str] = Bundle("jobs")
    holds: Bundle[Hold] = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        with self.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(delete(table))
        self.model: dict[str, ModelJob] = {}
        self.outbox: Counter[tuple[str, int]] = Counter()
        self.held: dict[str, Hold] = {}
        self.leaving: set[str] = set()
        self._places = 0

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        with self.database.read() as session:
            jobs = {job.id: job for job in session.scalars(select(Job))}
            attempts = grouped(session.scalars(select(Attempt).order_by(Attempt.number)))
            events = grouped(session.scalars(select(Event).order_by(Event.seq)))
            live = grouped(session.scalars(select(Checkpoint).where(Checkpoint.deleted_at.is_(None))))
            assert jobs.keys() == self.model.keys()
            for job_id, model in self.model.items():
                check_row(jobs[job_id], model)
                check_legal(jobs[job_id])
                check_attempts(attempts[job_id], model)
                check_story(events[job_id], jobs[job_id], model)
                check_checkpoints(live[job_id], model)
            assert Counter((m.job_id, m.fence) for m in session.scalars(select(Message))) == self.outbox

    @contextmanager
    def waking(self, job: ModelJob) -> Iterator[None]:
        """What the model wakes stands in the outbox."""
        before = job.wakes
        yield
        self.outbox.update([(job.job_id, job.fence)] * (job.wakes - before))  # a count of 0 would be known

    def write_as(self, hold: Hold, write: Callable[[Session], bool]) -> bool:
        """Write as a holder does: it changes the job exactly where its fence still holds it."""
        with self.database.write() as session:
            written = write(session)
        assert written == self.model[hold.job_id].holds(hold.fence)
        return written

    def wish(
        self, job: ModelJob, act: Callable[[Session, str], Job], allowed: set[State], note: Callable[[], None]
    ) -> None:
        try:
            with self.database.write() as session:
                told = act(session, job.job_id)
        except IllegalMove:
            assert job.state not in allowed
        else:
            assert job.state in allowed
            note()
            assert (told.state, told.desired) == (job.state, job.desired)

    def pending(self) -> list[tuple[str, int]]:
        with self.database.read() as session:
            return [(message.job_id, message.fence) for message in next_messages(session, 1_000)]

    def next_place(self) -> int:
        self._places += 1
        return self._places


def grouped(rows: Iterable[Any]) -> defaultdict[str, list[Any]]:
    """Rows by their job, in their order."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.job_id].append(row)
    return found
