"""What a worker does with a message: by its version, and with those of the release before."""

import json
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from structlog.testing import capture_logs

from app.jobs.plan import TrainingPlan
from app.jobs.protocol import MESSAGE_HEADER, MESSAGE_VERSION, PLAN_VERSION
from app.queue import TRAIN_TASK, Queue
from app.registry.claims import Seat
from app.settings import Settings
from worker import tasks
from worker.tasks import register_tasks, understands

FIRST_RELEASE = Path(__file__).parent / "first_release"
"""A message and a plan that the release before versions wrote: commit 33cc768."""


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({}, True),  # the first release wrote none
        ({MESSAGE_HEADER: 1}, True),
        ({MESSAGE_HEADER: MESSAGE_VERSION}, True),
        ({MESSAGE_HEADER: MESSAGE_VERSION + 1}, False),
        ({MESSAGE_HEADER: 0}, False),
        ({MESSAGE_HEADER: "2"}, False),
    ],
)
def test_a_message_of_an_unknown_version_is_let_go_and_told(headers: dict[str, Any], known: bool) -> None:
    with capture_logs() as logs:
        assert understands(headers) is known
    assert [entry["version"] for entry in logs] == ([] if known else [headers[MESSAGE_HEADER]])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> list[Seat]:
    seats: list[Seat] = []
    monkeypatch.setattr(tasks, "supervise_next", lambda seat, _settings: seats.append(seat))
    monkeypatch.setattr(tasks, "get_settings", lambda: settings)
    return seats


def deliver(message: dict[str, Any]) -> None:
    """Run the task as a worker does with what the broker holds."""
    app = Celery("test", set_as_current=False)
    register_tasks(app)
    app.amqp.queues.select(["caliper.cpu", "caliper.low"])
    import base64

    headers = message["headers"]
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert headers["task"] == TRAIN_TASK
    task = app.tasks[headers["task"]]
    request = {
        **headers,
        "headers": headers,
        "hostname": "caliper@one",
        "is_eager": True,
        "id": headers["id"],
    }
    task.push_request(args=args, kwargs=kwargs, **request)
    try:
        task.run(*args, **kwargs)
    finally:
        task.pop_request()


def test_a_message_of_the_first_release_wakes_this_one(asked: list[Seat]) -> None:
    deliver(json.loads((FIRST_RELEASE / "message.json").read_text()))
    assert asked == [Seat("caliper@one", ("caliper.cpu", "caliper.low"), PLAN_VERSION)]


def test_a_message_of_a_later_release_is_left_to_newer_workers(asked: list[Seat]) -> None:
    message = json.loads((FIRST_RELEASE / "message.json").read_text())
    message["headers"][MESSAGE_HEADER] = MESSAGE_VERSION + 1
    deliver(message)
    assert asked == []


def test_a_plan_of_the_first_release_is_read(settings: Settings) -> None:
    values = json.loads((FIRST_RELEASE / "plan.json").read_text())
    assert "version" not in values
    plan = TrainingPlan.from_plain("job_1", values)
    written = plan.plain()
    assert (written.pop("version"), written.pop("windows"), written.pop("lanes")) == (PLAN_VERSION, None, 0)
    assert json.loads(json.dumps(written)) == values


def test_the_first_release_reads_our_messages_and_plans(redis_server: Any, settings: Settings) -> None:
    """Its task takes one argument, the job's id; of a plan it reads these members and no others."""
    from redis import Redis

    queue = Queue(settings)
    queue.send("caliper.cpu", "job_1", 0)
    queue.close()
    (raw,) = Redis.from_url(settings.redis_client_url).lrange("caliper:caliper.cpu", 0, -1)
    ours, theirs = json.loads(raw), json.loads((FIRST_RELEASE / "message.json").read_text())
    assert ours.keys() == theirs.keys()
    import base64

    (args, kwargs, _), (their_args, their_kwargs, _) = (
        json.loads(base64.b64decode(each["body"])) for each in (ours, theirs)
    )
    assert (len(args), kwargs) == (len(their_args), their_kwargs) == (1, {})
    assert ours["headers"].keys() - theirs["headers"].keys() == {MESSAGE_HEADER}
    assert theirs["headers"].keys() <= ours["headers"].keys()
