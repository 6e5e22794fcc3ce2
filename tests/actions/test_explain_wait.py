"""Why a job waits: each reason from the facts that it depends on, and from a registry that has them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import make_dataset, make_job

from app.actions.explain_wait import Standing, explain_wait, read_standing, why_waiting
from app.jobs.fair_share import Waiter
from app.jobs.protocol import PLAN_VERSION
from app.registry.attempts import claim_job
from app.registry.database import Database
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, get_job
from app.registry.queue_state import MOST_WAITING
from app.registry.workers import (
    Drain,
    ask_to_leave,
    describe_worker,
    note_departure,
    register_worker,
)
from app.settings import Settings

START = datetime(2026, 11, 23, tzinfo=UTC)


def standing(**values: Any) -> Standing:
    return Standing(**{"tier": "a100", "newest_plan": 1, **values})


def line(*keys: str) -> list[Waiter]:
    return [Waiter(f"job_{n}", key, 0, START + timedelta(minutes=n)) for n, key in enumerate(keys)]


@pytest.mark.parametrize(
    ("place", "facts", "why"),
    [
        (1, {"workers": 2, "busy": 1}, "a worker of tier a100 is free and about to take it"),
        (2, {"workers": 2, "busy": 1}, "tier a100: 2 workers, 1 busy; 1 job before it"),
        (4, {"workers": 2, "busy": 2}, "tier a100: 2 workers, both busy; 3 jobs before it"),
        (1, {"workers": 3, "busy": 3}, "tier a100: 3 workers, all busy; next in line"),
        (2, {"workers": 1}, "tier a100: 1 worker, free; 1 job before it"),
        (None, {"workers": 1, "busy": 1}, "tier a100: 1 worker, busy; more than 1,000 jobs before it"),
        (1, {}, "no worker of tier a100 was ever seen"),
        (1, {"served": ("low", "cpu")}, "no worker of tier a100 was ever seen; tiers with one: low, cpu"),
        (
            1,
            {"last_seen": START.timestamp()},
            "no worker of tier a100 is alive since 2026-11-23 00:00:00 UTC",
        ),
        (
            1,
            {"leaving": 1, "last_seen": START.timestamp(), "served": ("cpu",)},
            "the last worker of tier a100 is leaving and takes no more jobs; tiers with one: cpu",
        ),
        (
            1,
            {"workers": 1, "broker": "Redis does not answer"},
            "the broker that wakes the workers does not answer; the job starts once it does",
        ),
        (
            1,
            {"workers": 1, "newest_plan": 0},
            "its plan has version 1, the workers of tier a100 read up to 0: it waits for a newer worker",
        ),
    ],
)
def test_the_reason_follows_from_the_facts(place: int | None, facts: dict[str, Any], why: str) -> None:
    assert explain_wait(standing(**facts), line("", "", "", ""), place) == why


def test_who_is_overtaken_by_a_fair_share_is_told_so() -> None:
    later_first = [line("ada", "bob")[1], line("ada", "bob")[0]]
    busy = standing(workers=2, busy=2, running={"ada": 2})
    ended = "tier a100: 2 workers, both busy; 1 job before it; fair share: "
    assert explain_wait(busy, later_first, 2) == f"{ended}its key runs 2 of 2, so that others go first"
    idle = standing(workers=2, busy=2, running={"cyd": 2})
    assert explain_wait(idle, later_first, 2) == f"{ended}keys take turns"
    assert "fair share" not in explain_wait(busy, later_first, 1)


def test_the_facts_are_those_of_the_registry(registry: Database, settings: Settings) -> None:
    with registry.write() as session:
        dataset = add_dataset(session, make_dataset())
        first, second = (add_job(session, make_job(dataset)).id for _ in range(2))
        for name, queues in (("one", ["caliper.cpu"]), ("two", ["caliper.a100", "caliper.low"])):
            register_worker(
                session, describe_worker(name, queues, queues[0].removeprefix("caliper."), {}, {})
            )
        assert claim_job(session, first, "one", 60) is not None
    with registry.read() as session:
        found = read_standing(session, settings, "ok")
        assert (found["cpu"].workers, found["cpu"].busy, found["cpu"].running) == (1, 1, {"": 1})
        assert (found["low"].workers, found["low"].busy) == (1, 0)  # of the larger tier
        assert found["cpu"].served == ("a100", "low", "cpu")
        assert found["cpu"].newest_plan == PLAN_VERSION
        job = get_job(session, second)
        assert why_waiting(session, settings, job, "ok") == "tier cpu: 1 worker, busy; next in line"
        assert why_waiting(session, settings, get_job(session, first), "ok") is None
    with registry.write() as session:
        ask_to_leave(session, "one", Drain.DONE, 60)
    with registry.read() as session:
        why = why_waiting(session, settings, job, "ok")
        assert (
            why == "the last worker of tier cpu is leaving and takes no more jobs; tiers with one: a100, low"
        )
    with registry.write() as session:
        note_departure(session, "one")
    with registry.read() as session:
        why = why_waiting(session, settings, job, "ok") or ""
        assert why.startswith(f"no worker of tier cpu is alive since {datetime.now(UTC):%Y-}")


def test_a_job_far_behind_is_told_that_many_are_before_it(registry: Database, settings: Settings) -> None:
    with registry.write() as session:
        dataset = add_dataset(session, make_dataset())
        register_worker(session, describe_worker("one", "caliper.cpu", "cpu", {}, {}))
        session.add_all(make_job(dataset) for _ in range(MOST_WAITING))
        session.flush()
        last = add_job(session, make_job(dataset))
    with registry.read() as session:
        why = why_waiting(session, settings, last, "ok")
    assert why == "tier cpu: 1 worker, free; more than 1,000 jobs before it"
