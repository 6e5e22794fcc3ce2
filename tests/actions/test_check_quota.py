"""Quotas: counted in the transaction that makes something, so that many requests at once do not pass them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from factories import make_checkpoint, make_dataset, make_job
from keyed_service import make_registry_key

from app.actions.check_quota import check_job_quota, check_upload_quota
from app.errors import QuotaExceeded
from app.registry.checkpoints import add_checkpoint, delete_checkpoint
from app.registry.database import Database, Session, new_id
from app.registry.datasets import add_dataset, delete_dataset
from app.registry.jobs import add_job
from app.registry.tables import Attempt, Job, Upload, utc_now
from app.registry.uploads import add_upload, expiry
from app.registry.usage import count_hours, count_open_jobs, count_stored_bytes
from app.settings import Settings

AT_ONCE = 100


def submit(session: Session, settings: Settings, key_id: str, dataset: Any) -> None:
    check_job_quota(session, settings, key_id)
    add_job(session, make_job(dataset, key_id=key_id))


def at_once(database: Database, work: Callable[[Session], None]) -> int:
    """Do it many times at the same time; how often it was refused."""

    def attempt(_: int) -> bool:
        try:
            with database.write() as session:
                work(session)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        return sum(not done for done in pool.map(attempt, range(AT_ONCE)))


def test_a_hundred_jobs_at_once_do_not_pass_the_quota(database: Database, settings: Settings) -> None:
    key_id = make_registry_key(database, max_open_jobs=7)
    with database.write() as session:
        dataset = add_dataset(session, make_dataset())
    assert at_once(database, lambda session: submit(session, settings, key_id, dataset)) == AT_ONCE - 7
    with database.read() as session:
        assert count_open_jobs(session, key_id) == 7


def test_a_hundred_uploads_at_once_do_not_pass_the_quota(database: Database, settings: Settings) -> None:
    key_id = make_registry_key(database, max_upload_bytes=1_000)

    def begin(session: Session) -> None:
        check_upload_quota(session, settings, key_id, 150)
        row = Upload(id=new_id("upload"), name="u", bytes=150, key_id=key_id, expires_at=expiry(60))
        add_upload(session, row)

    assert at_once(database, begin) == AT_ONCE - 6
    with database.read() as session:
        assert count_stored_bytes(session, key_id) == 900


def test_a_refusal_says_what_the_limit_is_and_what_is_used(database: Database, settings: Settings) -> None:
    key_id = make_registry_key(database, max_open_jobs=0, max_upload_bytes=10)
    with pytest.raises(QuotaExceeded) as caught, database.write() as session:
        check_job_quota(session, settings, key_id)
    problem = caught.value.problem()
    assert (problem["code"], problem["quota"], problem["limit"], problem["used"]) == (
        *("quota_exceeded", "open jobs"),
        *(0, 0),
    )
    assert "an admin can give the key a larger quota" in problem["hint"]
    with pytest.raises(QuotaExceeded, match="10 upload bytes"), database.write() as session:
        check_upload_quota(session, settings, key_id, 11)


def test_without_a_key_nothing_is_counted(database: Database, settings: Settings) -> None:
    with database.write() as session:
        check_job_quota(session, settings, None)
        check_upload_quota(session, settings, None, 1 << 60)


def test_what_counts_as_stored(database: Database) -> None:
    """Uploads of this key that are there, datasets even when deleted, announced uploads until they expire."""
    key_id, other = make_registry_key(database), make_registry_key(database)
    with database.write() as session:
        own = {"key_id": key_id, "kind": "uploaded"}
        kept = add_checkpoint(session, make_checkpoint(**own, bytes=1, sha256="1" * 64))
        gone = add_checkpoint(session, make_checkpoint(**own, bytes=10, sha256="2" * 64))
        add_checkpoint(session, make_checkpoint(key_id=key_id, kind="final", bytes=100, sha256="3" * 64))
        add_checkpoint(session, make_checkpoint(key_id=other, kind="uploaded", bytes=1_000, sha256="4" * 64))
        delete_checkpoint(session, gone)
        dataset = add_dataset(session, make_dataset(key_id=key_id, bytes=10_000))
        delete_dataset(session, dataset.id)
        waiting = {"name": "u", "key_id": key_id}
        for size, seconds, became in ((100_000, 60, None), (1_000_000, -1, None), (10_000_000, 60, kept.id)):
            upload = Upload(
                id=new_id("upload"), bytes=size, expires_at=expiry(seconds), checkpoint_id=became, **waiting
            )
            last = add_upload(session, upload)
            if size == 100_000:
                coming = last.id
        assert count_stored_bytes(session, key_id) == 110_001
        assert count_stored_bytes(session, key_id, without_upload=coming) == 10_001


def test_hours_are_those_of_attempts_within_the_days_that_count(
    database: Database, settings: Settings
) -> None:
    key_id, now = make_registry_key(database, max_gpu_hours=2.6), utc_now()
    spans = (
        # began, ended, last heard of (hours ago): 1.5 h ended, 1 h still running, one that began too long ago
        *((5.0, 3.5, 3.5), (2.0, None, 1.0)),
        (24.0 * 31, 24.0 * 30.5, 24.0 * 30.5),
    )
    with database.write() as session:
        dataset = add_dataset(session, make_dataset())
        job = add_job(session, make_job(dataset, key_id=key_id, state="succeeded"))
        for number, (began, ended, heard) in enumerate(spans, 1):
            session.add(
                Attempt(
                    job_id=job.id,
                    number=number,
                    fence=number,
                    worker="w",
                    started_at=now - timedelta(hours=began),
                    heartbeat_at=now - timedelta(hours=heard),
                    ended_at=None if ended is None else now - timedelta(hours=ended),
                )
            )
        session.flush()
        assert count_hours(session, key_id, now - timedelta(days=30)) == pytest.approx(2.5)
        check_job_quota(session, settings, key_id)
        session.get_one(Attempt, (job.id, 2)).heartbeat_at = now - timedelta(hours=0.8)
        session.flush()
        with pytest.raises(QuotaExceeded, match="GPU hours is used up: 2"):
            check_job_quota(session, settings, key_id)
        assert session.get_one(Job, job.id).key_id == key_id
