"""One Idempotency-Key sent a hundred times at once, over real HTTP: one job."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest
from job_rows import SPEC, upload_googl
from running_service import Service, running
from sqlalchemy import func, select

from app.registry.database import migrate
from app.registry.tables import Event, Idempotency, Job, JobDataset
from app.settings import Settings

DOUBLES = 100


@pytest.mark.timeout(240)
def test_a_hundred_doubles_at_once_make_one_job(settings: Settings, database_url: str) -> None:
    settings = settings.model_copy(update={"database_url": database_url})
    migrate(database_url)
    with running(settings) as service:
        upload_googl(service)
        answers = all_at_once(service)
        assert sorted({answer.status_code for answer in answers}) in ([200, 202], [202]), answers[0].text
        (job_id,) = {answer.json()["id"] for answer in answers}
        replays = [answer.headers.get("Idempotent-Replay") for answer in answers]
        assert replays.count(None) == 1
        assert replays.count("true") == DOUBLES - 1
        with service.parts.database.read() as session:
            for table in (Job, Idempotency, JobDataset):
                assert session.scalar(select(func.count()).select_from(table)) == 1
            assert session.scalars(select(Job.id)).all() == [job_id]
            assert session.scalar(select(func.count()).select_from(Event)) == 1


def all_at_once(service: Service) -> list[httpx.Response]:
    """The same request from as many threads, each with a connection of its own, released together."""
    start = Barrier(DOUBLES)

    def send(_number: int) -> httpx.Response:
        with httpx.Client(base_url=service.url, timeout=120, trust_env=False) as client:
            client.get("/healthz")  # connected before the start
            start.wait(60)
            return client.post("/jobs", json=SPEC, headers={"Idempotency-Key": "one-click"})

    with ThreadPoolExecutor(DOUBLES) as pool:
        return list(pool.map(send, range(DOUBLES)))
