"""Copies of the registry: a consistent one of a SQLite file in use, and what a restored one must forget."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.jobs.lifecycle import FINISH
from app.registry.attempts import Hold, interrupt_job
from app.registry.database import Database
from app.registry.tables import Checkpoint, Dataset, Job, JobEvaluation, Upload, Worker

RESTORED = "the registry was restored from a backup"
"""Why a job that ran at the time of the backup is queued again."""


def copy_registry(database: Database, target: Path) -> None:
    """Write the SQLite registry as it is at one moment to `target`, while others write on.

    All pages are copied in one step, within one read transaction: in WAL mode that waits for no writer and no
    writer waits for it. Raises InvalidInput for another kind of database.
    """
    if not database.is_sqlite:
        hint = (
            "use pg_dump for the registry; docs/deployment.md says how, and how to copy the artifacts with it"
        )
        raise InvalidInput("only a SQLite registry is copied this way", hint=hint)
    with closing(sqlite3.connect(target)) as copy, closing(database.engine.raw_connection()) as connection:
        source = connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy)


def check_copy(path: Path) -> None:
    """Raise InvalidInput unless the file is a whole SQLite database."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as copy:
        try:
            found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            found = str(error)
    if found != "ok":
        raise InvalidInput(f"the registry in the backup is damaged: {found}", hint="use another backup")


def files_needed(session: Session) -> Iterator[str]:
    """Hashes of all files that the registry names, each once."""
    queries = (
        select(Checkpoint.sha256).where(Checkpoint.deleted_at.is_(None)),
        select(Dataset.file_sha256),
        select(JobEvaluation.returns_sha256),
        select(JobEvaluation.chart_sha256).where(JobEvaluation.chart_sha256.is_not(None)),
    )
    seen: set[str] = set()
    for query in queries:
        for sha256 in session.scalars(query.execution_options(yield_per=10_000)):
            if sha256 is not None and sha256 not in seen:
                seen.add(sha256)
                yield sha256


def settle_restored(session: Session) -> int:
    """Let go of what the backup's machine held, and queue its running jobs again; how many.

    That costs a job no attempt. Its workers are gone, and so are the bytes of uploads that were not finished.
    """
    running = select(Job.id, Job.fence).where(Job.state.in_(FINISH.sources))
    holds = [Hold(job_id, fence) for job_id, fence in session.execute(running)]
    settled = sum(interrupt_job(session, hold, RESTORED) for hold in holds)
    session.execute(delete(Worker))
    session.execute(delete(Upload).where(Upload.checkpoint_id.is_(None)))
    return settled
