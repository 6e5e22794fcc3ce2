"""The demo's steps against a service that is played: what they ask, in which order, and that each one is checked."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from demo_view import RecordingView
from fake_service import FakeService, job, problem, serve_range, stream

from app.client import ServiceError
from app.demo import DemoFailed, DemoOptions, tour
from app.demo.home import SMALL_TIMESTEPS, demo_settings

CONTENT = b"w" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DONE = stream((1, "state", {"state": "succeeded"}))
PPO = {"seed": 1, "hidden_dims": [256, 128, 64]}


def fact(value: Any) -> dict[str, Any]:
    return {"value": value, "basis": "both", "note": ""}


def checkpoint(number: int, dims: list[int], parameters: int, size: int) -> dict:
    names = {"id": f"checkpoint_{number}", "hidden_dims": dims, "parameters": parameters}
    return {**names, "bytes": size, "predicted_bytes": size, "sha256": SHA256}


def finished(number: int, **values: Any) -> dict:
    result = {"checkpoint_id": f"checkpoint_{number}", "global_step": 4096, "evaluation": {}}
    return job(last_event=1, result=result, id=f"job_{number}", **values)


def submitted(request: httpx.Request) -> dict:
    dims = json.loads(request.content).get("hidden_dims") or [256, 128, 64]
    small = dims == [64, 32]
    return job(
        "queued", id="job_2" if small else "job_1", hidden_dims=dims, predicted_bytes=400 if small else 1000
    )


def service(**answers: Any) -> FakeService:
    report = {
        "architecture": {"obs_dim": fact(5300), "hidden_dims": fact([256, 128, 64])},
        "parameters": 1_406_788,
        "sha256": SHA256,
        "config": PPO,
        "complete": True,
        "findings": [],
        "optimizer": {"complete": True},
    }
    diff = {
        "weights_load": False,
        "architecture": [{"name": "hidden_dims", "left": [256, 128, 64], "right": [64, 32]}],
        "parameters_delta": 345_828 - 1_406_788,
        "bytes_delta": -600,
    }
    played = {
        "POST /datasets": {
            "id": "dataset_1",
            "rows": 2335,
            "starts_at": "2009-05-22",
            "ends_at": "2018-08-29",
        },
        "POST /jobs": submitted,
        "GET /jobs/job_1": finished(1),
        "GET /jobs/job_2": finished(2, hidden_dims=[64, 32], predicted_bytes=400),
        "GET /jobs/job_1/events": DONE,
        "GET /jobs/job_2/events": stream((1, "state", {"state": "succeeded"})),
        "GET /checkpoints/checkpoint_1": checkpoint(1, [256, 128, 64], 1_406_788, 1000),
        "GET /checkpoints/checkpoint_2": checkpoint(2, [64, 32], 345_828, 400),
        "GET /checkpoints/checkpoint_1/file": serve_range(CONTENT),
        "POST /checkpoints/inspect": report,
        "GET /checkpoints/diff": diff,
    }
    return FakeService(played | answers)


def test_the_tour_asks_for_everything_in_order(tmp_path: Path) -> None:
    played, view = service(), RecordingView()
    checkpoint_row = tour.take_tour(played.client(), tmp_path, 3000, view)
    assert checkpoint_row["id"] == "checkpoint_1"
    asked = [path for path in played.paths() if not path.endswith("/events")]
    assert list(dict.fromkeys(asked)) == [
        "POST /datasets",
        "POST /jobs",
        "GET /jobs/job_1",
        "GET /checkpoints/checkpoint_1",
        "GET /checkpoints/checkpoint_1/file",
        "POST /checkpoints/inspect",
        "GET /jobs/job_2",
        "GET /checkpoints/checkpoint_2",
        "GET /checkpoints/diff",
    ]
    assert len(view.of("step")) == 6
    assert len(view.of("passed")) == 9
    assert [kind for kind, _ in view.shown if kind in {"result", "inspection", "diff"}] == [
        "result",
        "inspection",
        "diff",
    ]
    assert (tmp_path / "demo.pt").read_bytes() == CONTENT


def test_the_bars_are_declared_as_they_are(tmp_path: Path) -> None:
    played = service()
    tour.upload_bars(played.client(), RecordingView())
    content = played.asked[0].content
    wanted = {
        "bar_seconds": "86400",
        "calendar": "XNYS",
        "label": "open",
        "adjusted": "split",
        "volume_unit": "shares",
    }
    for name, value in wanted.items():
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in content


def test_the_network_is_left_to_the_tier(tmp_path: Path) -> None:
    played = service()
    tour.train_policy(played.client(), {"id": "dataset_1"}, 3000, RecordingView())
    spec = json.loads(next(request for request in played.asked if request.url.path == "/jobs").content)
    assert set(spec.pop("environment")["costs"]) == {
        "fee_bps",
        "half_spread_bps",
        "slippage",
        "borrow_bps_per_year",
    }
    assert spec == {"dataset": "dataset_1", "total_timesteps": 3000, "tier": "cpu", "name": "demo"}


def test_the_second_network_is_another_and_short() -> None:
    played = service()
    tour.train_other(played.client(), {"id": "dataset_1"}, RecordingView())
    spec = json.loads(played.asked[0].content)
    assert spec["hidden_dims"] == [64, 32]
    assert spec["total_timesteps"] == SMALL_TIMESTEPS


@pytest.mark.parametrize(
    ("path", "answer", "error"),
    [
        ("POST /datasets", {"id": "d", "rows": 2334, "starts_at": "", "ends_at": ""}, "rows of the dataset"),
        ("GET /jobs/job_1", job("failed", last_event=1, error={"detail": "it diverged"}), "it diverged"),
        (
            "GET /checkpoints/checkpoint_1",
            checkpoint(1, [256, 128, 64], 1, 1000) | {"predicted_bytes": 999},
            "predicted bytes",
        ),
        ("GET /checkpoints/diff", {"weights_load": True}, "weights load across"),
    ],
)
def test_a_wrong_answer_ends_the_tour(tmp_path: Path, path: Any, answer: Any, error: Any) -> None:
    with pytest.raises(DemoFailed, match=error):
        tour.take_tour(service(**{path: answer}).client(), tmp_path, 3000, RecordingView())


def test_a_refusal_ends_the_tour(tmp_path: Path) -> None:
    played = service(**{"POST /jobs": problem(422, "does_not_fit", "too large")})
    with pytest.raises(ServiceError, match="too large"):
        tour.take_tour(played.client(), tmp_path, 3000, RecordingView())


def test_missing_bars_say_where_to_run_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tour, "BARS", tmp_path / "no.csv")
    with pytest.raises(DemoFailed, match="missing") as caught:
        tour.upload_bars(service().client(), RecordingView())
    assert "checkout" in caught.value.hint


class FakeStack:
    """Notes that it was stopped, however the demo ends."""

    stopped = False

    def __init__(self, settings: Any, *, progress: Any) -> None:
        self.url = "http://caliper.test"

    def __enter__(self) -> Self:
        type(self).stopped = False
        return self

    def stop(self, *, hurry: Any) -> None:
        assert hurry

    def __exit__(self, *_args: object) -> None:
        type(self).stopped = True


@pytest.mark.parametrize("outcome", [None, DemoFailed("no"), KeyboardInterrupt(), SystemExit(143)])
def test_the_stack_is_always_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: Any) -> None:
    def take_tour(*_args: Any) -> dict[str, str]:
        if outcome is not None:
            raise outcome
        return {"id": "checkpoint_1"}

    monkeypatch.setattr(tour, "LocalStack", FakeStack)
    monkeypatch.setattr(tour, "take_tour", take_tour)
    view = RecordingView()
    if outcome is None:
        tour.run_demo(DemoOptions(tmp_path / "demo"), view)
        assert len(view.of("farewell")) == 1
    else:
        with pytest.raises(type(outcome)):
            tour.run_demo(DemoOptions(tmp_path / "demo"), view)
        assert view.of("farewell") == []
    assert FakeStack.stopped


@pytest.mark.parametrize(("port", "named"), [(8400, False), (8401, True)])
def test_the_way_on_names_folder_and_port(tmp_path: Path, port: Any, named: Any) -> None:
    places = tour.next_places(demo_settings(tmp_path, port), {"id": "checkpoint_1"})
    serve = places["serve what the demo made"]
    assert serve.startswith(f"CALIPER_DATA_DIR={tmp_path}")
    assert serve.endswith("make serve")
    assert ("CALIPER_PORT=8401" in serve) is named
    assert f"http://127.0.0.1:{port}/docs" in places.values()
