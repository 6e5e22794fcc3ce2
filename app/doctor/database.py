"""The registry: whether it answers, has the tables of this release, and keeps the same time."""

import time
from pathlib import Path

from app.addresses import mask_password
from app.doctor.finding import Finding, Findings, Patient, ok, problem, warning
from app.errors import Unavailable
from app.network.tiers import TIERS
from app.registry.database import Database
from app.registry.examination import Facts, State, look_at, queued_elsewhere


def check_database(patient: Patient) -> Findings:
    """Answers, tables, journal, clock, and jobs that wait where nobody looks."""
    url = mask_password(patient.settings.database_url)
    database = open_registry(patient)
    if database is None:
        yield warning("database", f"{url} is not there yet", "`caliper serve` or `caliper migrate` makes it")
        return
    try:
        facts = look_at(database)
        yield ok("database", f"{facts.server} answers at {url}")
        yield _tables(facts)
        yield _clock(patient, facts)
        if database.is_sqlite:
            yield _journal(facts)
        if facts.state is State.UP_TO_DATE:
            yield from _queues(patient, database)
    except Unavailable as error:
        yield problem("database", f"{url}: {error.detail}", _advise(error.detail))
    finally:
        database.close()


def open_registry(patient: Patient) -> Database | None:
    """The registry, not yet asked; None for a SQLite file that is not there, which a look must not make."""
    kind, _, path = patient.settings.database_url.partition(":///")
    if kind.startswith("sqlite") and not Path(path.partition("?")[0]).is_file():
        return None
    return Database(patient.settings.database_url)


def _advise(detail: str) -> str:
    if "password" in detail or "authentication" in detail:
        return "set CALIPER_DATABASE_PASSWORD to the password of the database's user"
    if "readonly" in detail or "unable to open" in detail:
        return "give this user the right to write to the file and its folder"
    return "start the database, or check CALIPER_DATABASE_URL"


def _tables(facts: Facts) -> Finding:
    said = f"revision {facts.revision or 'none'}, this release has {facts.head}"
    if facts.state is State.NEWER:
        return problem(
            "tables", said, "a newer release made them: run that one, or restore the backup before it"
        )
    if facts.state is State.UP_TO_DATE:
        return ok("tables", said)
    return problem("tables", said, "back up, then run `caliper migrate`; `caliper serve` does it by itself")


def _clock(patient: Patient, facts: Facts) -> Finding:
    apart = facts.clock - time.time()
    said = f"the database's differs from this machine's by {apart:+.1f} s"
    if abs(apart) > patient.thresholds.clock_seconds:
        return warning("clock", said, "let both follow the same time server (NTP)")
    return ok("clock", said)


def _journal(facts: Facts) -> Finding:
    if facts.journal != "wal":
        advice = "put the file on a local disk: readers wait for writers without a write-ahead log"
        return problem("journal", f"SQLite's journal is {facts.journal}, not wal", advice)
    return ok("journal", "write-ahead log")


def _queues(patient: Patient, database: Database) -> Findings:
    """Jobs that were queued under another prefix wait for ever."""
    ours = [patient.settings.queue_name(tier) for tier in TIERS]
    with database.read() as session:
        elsewhere = queued_elsewhere(session, ours)
    for queue, count in elsewhere.items():
        said = f"{count} jobs wait in {queue}, to which this CALIPER_QUEUE_PREFIX does not lead"
        yield problem("queue prefix", said, "give API and workers the prefix under which they were submitted")
    if not elsewhere:
        yield ok("queue prefix", patient.settings.queue_prefix)
