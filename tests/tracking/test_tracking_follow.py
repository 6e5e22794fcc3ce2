"""Trackers beside a watched job: told in order, left out when they fail, never in the way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client import Client, Event
from app.errors import Unavailable
from app.tracking import snapshot_job, tracked
from app.tracking.facts import list_params, list_scores, safe_name
from app.tracking.tracker import Ending, Json, Point, Points


class Notes:
    """Notes what it is told; breaks when it is told `breaks_at`."""

    place = "a notebook"

    def __init__(self, breaks_at: str = "") -> None:
        self.told: list[str] = []
        self.breaks_at = breaks_at
        self.ending: Ending | None = None

    def begin(self, job: Json) -> None:
        self._note("begin")

    def measure(self, point: Point) -> None:
        self._note(f"{point.step}{' again' if point.again else ''}")

    def end(self, ending: Ending) -> None:
        self.ending = ending
        self._note("end")

    def close(self) -> None:
        self._note("close")

    def _note(self, word: str) -> None:
        self.told.append(word)
        if word == self.breaks_at:
            raise Unavailable("the notebook is full")


def test_a_tracker_is_told_each_point_once_and_which_were_measured_again(
    client: Client, ended_job: str
) -> None:
    notes = Notes()
    job = snapshot_job(client, ended_job, [notes])
    assert job["state"] == "succeeded"
    assert notes.told == ["begin", "128", "256", "256 again", "384", "512", "end", "close"]
    assert notes.ending is not None
    assert (notes.ending.step, notes.ending.at.isoformat()) == (512, job["ended_at"].replace("Z", "+00:00"))
    assert notes.ending.page is not None
    assert notes.ending.page.startswith("<!doctype html>")


def test_a_job_that_runs_ends_the_snapshot_where_it_stands(client: Client, running_job: str) -> None:
    notes = Notes()
    snapshot_job(client, running_job, [notes])
    assert notes.told == ["begin", "128", "256", "end", "close"]
    assert notes.ending is not None
    assert notes.ending.report is None


@pytest.mark.parametrize("moment", ["begin", "256", "end", "close"])
def test_a_tracker_that_fails_is_left_out_and_the_others_go_on(
    client: Client, ended_job: str, moment: str
) -> None:
    bad, good, failures = Notes(moment), Notes(), []
    events = tracked(
        client, ended_job, client.events(ended_job), [bad, good], lambda *what: failures.append(what)
    )
    assert list(events) == list(client.events(ended_job))
    assert good.told[-2:] == ["end", "close"]
    ((tracker, error),) = failures
    assert (tracker, str(error)) == (bad, "the notebook is full")
    assert bad.told[-1] == moment
    with pytest.raises(Unavailable):
        snapshot_job(client, ended_job, [Notes(moment)])


def test_watching_that_breaks_off_lets_go(client: Client, ended_job: str) -> None:
    notes = Notes()
    events = tracked(client, ended_job, client.events(ended_job), [notes], lambda *_: None)
    next(events)
    events.close()
    assert notes.told == ["begin", "close"]


def test_without_trackers_the_service_is_not_even_asked() -> None:
    events = [Event(1, "state", {"state": "succeeded"})]
    nobody: Any = None
    assert list(tracked(nobody, "job_1", events, [], lambda *_: None)) == events


@given(st.lists(st.integers(1, 50), max_size=30))
def test_what_holds_after_any_resumes_is_what_the_registry_keeps(steps: list[int]) -> None:
    """Dropping what was at or past a point measured again leaves steps that only rise."""
    points, kept = Points(), []
    for number, step in enumerate(steps):
        data = {"at": "2026-11-23T09:00:00+00:00", "global_step": step, "loss": float(number), "n": 1}
        point = points.read(Event(number + 1, "progress", data))
        assert point is not None
        assert dict(point.values) == {"loss": float(number)}
        kept = [each for each in kept if each < step] if point.again else kept
        kept.append(step)
    assert kept == sorted(set(kept))


def test_params_are_flat_and_lists_are_json() -> None:
    config = {
        "ppo": {"gamma": 0.99, "hidden_dims": [8, 4]},
        "datasets": [{"id": "a"}],
        "x y": None,
        "own": {},
    }
    assert list_params(config) == {
        "ppo.gamma": "0.99",
        "ppo.hidden_dims": "[8, 4]",
        "datasets.0.id": "a",
        "x_y": "null",
        "own": "{}",
    }


def test_names_that_trackers_refuse_are_replaced() -> None:
    assert safe_name("../a b<c>") == "a_b_c"
    assert safe_name("…") == "_"


def test_datasets_whose_names_look_alike_are_told_apart() -> None:
    figures = dict.fromkeys(
        ("total_return", "cagr", "volatility", "sharpe", "sortino", "max_drawdown", "calmar", "turnover")
    )
    strategies = dict.fromkeys(("policy", "buy_and_hold", "sma_cross", "flat"), figures)
    spans = [{"name": "test", **strategies, "policy": {**figures, "sharpe": 0.5}}]
    assets = [
        {"dataset_name": name, "dataset_id": number, "evaluation": {"spans": spans}}
        for name, number in (("a b", "d1"), ("a_b", "d2"))
    ]
    assert list_scores({"assets": assets}) == {
        "evaluation/d1/test/policy/sharpe": 0.5,
        "evaluation/d2/test/policy/sharpe": 0.5,
    }
    assert list_scores({"assets": assets[:1]}) == {"evaluation/test/policy/sharpe": 0.5}
