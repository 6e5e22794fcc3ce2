"""What a look at the registry from outside tells: its state, its clock, what it names, what waits where nobody looks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.jobs.lifecycle import State as JobState
from app.registry.database import MIGRATIONS, Database, DatabaseNow
from app.registry.tables import Attempt, Checkpoint, Dataset, Job


class State(StrEnum):
    """How the tables stand to this release."""

    UP_TO_DATE = "up_to_date"
    OLDER = "older"
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class Facts:
    """The database as it is."""

    server: str
    """Its kind and version."""
    revision: str | None
    """The revision of its tables; None where it has none."""
    head: str
    """The revision that this release wants."""
    state: State
    """How the two stand to each other."""
    clock: float
    """Its time, in epoch seconds."""
    journal: str | None
    """SQLite's kind of journal; None for other databases."""


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A stored file that the registry names."""

    sha256: str
    bytes: int | None
    """Its length; None where the row does not say."""
    what: str
    """What names it."""


def look_at(database: Database) -> Facts:
    """Read the database's own facts; needs none of its tables. Raises Unavailable."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    head = str(scripts.get_current_head())
    with database.read() as session:
        connection = session.connection()
        revision = MigrationContext.configure(connection).get_current_revision()
        version = ".".join(map(str, connection.dialect.server_version_info or ()))
        journal = session.scalar(text("PRAGMA journal_mode")) if database.is_sqlite else None
        clock = float(session.scalar(select(DatabaseNow())) or 0.0)
    return Facts(
        server=f"{connection.dialect.name} {version}".strip(),
        revision=revision,
        head=head,
        state=_compare(revision, head, {script.revision for script in scripts.walk_revisions()}),
        clock=clock,
        journal=None if journal is None else str(journal),
    )


def queued_elsewhere(session: Session, queues: Collection[str]) -> Mapping[str, int]:
    """How many jobs wait in each queue that is not among these."""
    waiting = select(Job.queue, func.count()).where(Job.state == JobState.QUEUED, Job.queue.not_in(queues))
    return {queue: int(count) for queue, count in session.execute(waiting.group_by(Job.queue))}


def sample_files(session: Session, limit: int) -> Sequence[NamedFile]:
    """The newest files that are named: up to `limit` of checkpoints, and as many of datasets."""
    checkpoints = select(Checkpoint.sha256, Checkpoint.bytes, Checkpoint.id).where(
        Checkpoint.deleted_at.is_(None)
    )
    datasets = select(Dataset.file_sha256, Dataset.bytes, Dataset.id).where(Dataset.deleted_at.is_(None))
    newest = (
        *(session.execute(checkpoints.order_by(Checkpoint.id.desc()).limit(limit))),
        *(session.execute(datasets.order_by(Dataset.id.desc()).limit(limit))),
    )
    return [NamedFile(sha256, size, what) for sha256, size, what in newest]


def clocks_of_workers(session: Session) -> Mapping[str, float]:
    """How far the clock of each worker that holds a job is ahead of the database's, in seconds.

    An attempt's start is told by both clocks: by the worker's as `started_at`, by the database's as `claimed_at`.
    """
    held = (
        select(Attempt.worker, Attempt.started_at, Attempt.claimed_at)
        .join(Job, (Attempt.job_id == Job.id) & (Attempt.fence == Job.fence))
        .where(Job.state == JobState.RUNNING, Attempt.claimed_at.is_not(None))
    )
    rows = session.execute(held)
    return {worker: started.timestamp() - claimed for worker, started, claimed in rows if claimed is not None}


def _compare(revision: str | None, head: str, known: Collection[str]) -> State:
    if revision == head:
        return State.UP_TO_DATE
    return State.OLDER if revision is None or revision in known else State.NEWER
