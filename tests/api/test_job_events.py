"""Following a job: the event stream, its replay and its end; the log and the metrics."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from factories import make_dataset, make_job
from running_service import Service, eventually, is_problem

from app.api import job_feed
from app.api.job_metrics import cut_points
from app.client.events import Event, EventReader
from app.jobs.lifecycle import Outcome
from app.registry.attempts import Hold, claim_job, fail_job, finish_job
from app.registry.database import Database
from app.registry.events import record_event
from app.registry.jobs import add_job, resume
from app.registry.metrics import record_progress
from app.registry.tables import Metric


@pytest.fixture
def job_id(registry: Database) -> str:
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        return str(add_job(session, make_job(dataset)).id)


def run_job(registry: Database, job_id: str, steps: int = 3) -> Hold:
    """A whole life in the registry: claim, a word, some progress; the caller ends it."""
    with registry.write() as session:
        claimed = claim_job(session, job_id, "worker-1", 60)
        assert claimed is not None
        record_event(session, job_id, "log", {"message": "reading bars\nfrom disk", "rows": 2335})
        for step in range(1, steps + 1):
            record_progress(session, claimed.hold, step * 100, {"loss": 1 / step, "reward": float(step)})
    return claimed.hold


def end(registry: Database, hold: Hold) -> None:
    with registry.write() as session:
        assert finish_job(session, hold, {"sharpe": 0.5})


def read(lines: Iterator[str]) -> list[Event]:
    reader = EventReader()
    return [event for line in lines if (event := reader.feed(line))]


def follow(service: Service, job_id: str, **options: Any) -> list[Event]:
    answer = service.get(f"/jobs/{job_id}/events", **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return read(iter(answer.text.splitlines()))


def test_the_stream_of_an_ended_job_holds_all_events_and_ends(
    service: Service, registry: Database, job_id: str
) -> None:
    end(registry, run_job(registry, job_id))
    events = follow(service, job_id)
    assert [event.id for event in events] == list(range(1, 8))
    assert [event.kind for event in events] == [
        "state",
        "state",
        "log",
        "progress",
        "progress",
        "progress",
        "state",
    ]
    assert events[-1].ends_job
    assert events[1].data["worker"] == "worker-1"
    assert events[1].data["attempt"] == 1
    assert events[1].data["at"].endswith("+00:00")


def test_a_stream_tells_when_to_come_back_and_is_not_cached(
    service: Service, registry: Database, job_id: str
) -> None:
    end(registry, run_job(registry, job_id))
    answer = service.get(f"/jobs/{job_id}/events")
    assert answer.text.startswith("retry: 2000\n\n")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("seen", [0, 1, 3, 6])
def test_replay_begins_after_the_last_event_seen(
    service: Service, registry: Database, job_id: str, seen: int
) -> None:
    end(registry, run_job(registry, job_id))
    wanted = list(range(seen + 1, 8))
    by_header = follow(service, job_id, headers={"Last-Event-ID": str(seen)})
    by_query = follow(service, job_id, params={"after": seen})
    assert [event.id for event in by_header] == [event.id for event in by_query] == wanted


def test_a_reconnect_after_the_end_is_told_not_to_come_back(
    service: Service, registry: Database, job_id: str
) -> None:
    end(registry, run_job(registry, job_id))
    answer = service.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": "7"})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_live_stream_gets_what_happens_and_ends_with_the_job(
    service: Service, registry: Database, job_id: str
) -> None:
    seen: list[Event] = []
    first = threading.Event()

    def watch() -> None:
        reader = EventReader()
        with service.http.stream("GET", f"/jobs/{job_id}/events") as answer:
            for line in answer.iter_lines():
                if event := reader.feed(line):
                    seen.append(event)
                    first.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert first.wait(20)
    end(registry, run_job(registry, job_id))
    watcher.join(20)
    assert not watcher.is_alive()
    assert [event.id for event in seen] == list(range(1, 8))


def test_a_resumed_job_is_followed_further(service: Service, registry: Database, job_id: str) -> None:
    hold = run_job(registry, job_id)
    with registry.write() as session:
        fail_job(session, hold, {"detail": "out of memory"}, Outcome.CRASHED)
        resume(session, job_id)
    end(registry, run_job(registry, job_id, steps=1))
    events = follow(service, job_id)
    states = [event.data["state"] for event in events if event.kind == "state"]
    assert states == ["queued", "running", "failed", "queued", "running", "succeeded"]


def test_a_client_that_leaves_ends_the_stream_and_its_reader(
    service: Service, job_id: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(job_feed, "POLL_SECONDS", 0.02)
    with service.http.stream("GET", f"/jobs/{job_id}/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        assert service.parts.feeds.followers == 1
        assert service.parts.feeds.followed == (job_id,)
    eventually(lambda: service.parts.feeds.followers == 0)
    assert service.parts.feeds.followed == ()


@pytest.mark.parametrize("value", ["-1", "x", str(1 << 63)])
def test_a_wrong_event_number_is_refused(service: Service, job_id: str, value: str) -> None:
    by_header = service.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": value})
    assert is_problem(by_header, 422, "invalid_input")["pointer"] == "last-event-id"
    by_query = service.get(f"/jobs/{job_id}/events", params={"after": value})
    assert is_problem(by_query, 422, "invalid_input")["pointer"] == "after"


def test_the_log_is_one_line_per_word_and_change(service: Service, registry: Database, job_id: str) -> None:
    end(registry, run_job(registry, job_id))
    answer = service.get(f"/jobs/{job_id}/log")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    lines = [line.split("  ", 1) for line in answer.text.splitlines()]
    assert [said for _, said in lines] == [
        "attempt 0  state queued",
        'attempt 1  state running (worker="worker-1")',
        "attempt 1  reading bars\\nfrom disk (rows=2335)",
        'attempt 1  state succeeded (outcome="succeeded")',
    ]
    assert all(at.endswith("Z") for at, _ in lines)
    tail = service.get(f"/jobs/{job_id}/log", params={"tail": 2})
    assert tail.text.splitlines() == answer.text.splitlines()[-2:]
    assert tail.headers["content-type"] == answer.headers["content-type"]
    is_problem(service.get(f"/jobs/{job_id}/log?tail=0"), 422, "invalid_input")


def metrics(service: Service, job_id: str, **params: Any) -> httpx.Response:
    return service.get(f"/jobs/{job_id}/metrics", params=params)


def test_metrics_come_in_step_order_and_by_name(service: Service, registry: Database, job_id: str) -> None:
    run_job(registry, job_id)
    both = metrics(service, job_id).json()
    assert both["next_after_step"] is None
    assert [(point["step"], point["name"]) for point in both["points"]] == [
        (step, name) for step in (100, 200, 300) for name in ("loss", "reward")
    ]
    loss = metrics(service, job_id, names="loss", after_step=100).json()["points"]
    assert loss == [{"name": "loss", "step": step, "value": 100 / step} for step in (200, 300)]
    assert metrics(service, job_id, names=["loss", "reward"]).json() == both
    assert metrics(service, job_id, names="nothing").json()["points"] == []


def test_metrics_are_cut_between_steps_and_continued(
    service: Service, registry: Database, job_id: str
) -> None:
    run_job(registry, job_id)
    points, after = [], -1
    for _ in range(3):
        page = metrics(service, job_id, limit=1, after_step=after).json()
        assert len(page["points"]) == 2
        points += page["points"]
        after = page["next_after_step"]
    assert after is None
    assert points == metrics(service, job_id).json()["points"]


def test_metrics_can_be_spread_over_the_run(service: Service, registry: Database, job_id: str) -> None:
    run_job(registry, job_id)

    def steps(**params: Any) -> list[int]:
        return [point["step"] for point in metrics(service, job_id, names="loss", **params).json()["points"]]

    assert steps(spread=2) == [100, 300]
    assert steps(spread=3) == steps(spread=500) == [100, 200, 300]
    assert steps(spread=2, after_step=100) == [200, 300]


@pytest.mark.parametrize(
    "params", [{"spread": 1}, {"after_step": -2}, {"after_step": 1 << 63}, {"limit": 0}, {"name": "loss"}]
)
def test_a_wrong_metrics_query_is_refused(service: Service, job_id: str, params: dict[str, Any]) -> None:
    is_problem(metrics(service, job_id, **params), 422, "invalid_input")


def test_cut_points_keeps_a_step_whole() -> None:
    rows = [Metric(job_id="j", name=str(n), step=n // 2, value=0.0) for n in range(6)]
    cut = cut_points(rows, 3)
    assert ([point.step for point in cut.points], cut.next_after_step) == ([0, 0, 1, 1], 1)
    assert cut_points(rows, 6).next_after_step is None
    assert cut_points(rows, 5).next_after_step is None
