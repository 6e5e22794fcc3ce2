"""Client and AsyncClient are one client: the same methods, the same answers from the real service, the types it promises."""

import asyncio
import hashlib
import inspect
import json
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict
from urllib.parse import unquote

import httpx
import pytest
from fake_service import URL, FakeService, Turns, problem, serve_range
from running_service import Service, running, safetensors_file

from app.api.calibration_example import MEASURED
from app.client import AsyncClient, Client, ServiceError, answers, calls
from app.client import upload as uploading
from app.main import create_app
from app.registry.database import Database
from app.settings import Settings

GOOGL = Path(__file__).parents[2] / "examples" / "data" / "googl_1d.csv"
DECLARED = {
    "bar_seconds": 86400,
    "calendar": "XNYS",
    "label": "open",
    "adjusted": "split",
    "volume_unit": "shares",
}
COSTS = {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
SPEC = {
    "dataset": "googl",
    "environment": {"costs": COSTS},
    "total_timesteps": 512,
    "hidden_dims": [8],
    "lookback": 5,
    "features": ["ret_1"],
    "tier": "cpu",
}
PART = 2_000

Ask = Callable[..., Any]
"""Calls a method of a client by name and gives its answer; all items of a list or stream."""


def ask_blocking(url: str, **options: Any) -> Ask:
    def ask(method: str, *arguments: Any, **more: Any) -> Any:
        with Client(url, **options) as client:
            answer = getattr(client, method)(*arguments, **more)
            return list(answer) if isinstance(answer, Iterator) else answer

    return ask


def ask_awaiting(url: str, **options: Any) -> Ask:
    async def run(method: str, arguments: Any, more: Any) -> Any:
        async with AsyncClient(url, **options) as client:
            answer = getattr(client, method)(*arguments, **more)
            if isinstance(answer, AsyncIterator):
                return [item async for item in answer]
            assert isinstance(answer, Awaitable)
            return await answer

    return lambda method, *arguments, **more: asyncio.run(run(method, arguments, more))


both = pytest.mark.parametrize("connect", [ask_blocking, ask_awaiting], ids=["blocking", "awaiting"])


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "PART_BYTES", PART)
    monkeypatch.setattr("app.client.operations.RETRY_SECONDS", 0.0)
    monkeypatch.setattr("app.client.operations.WEIGHTS_POLL_SECONDS", 0.0)


@pytest.fixture
def service(settings: Settings, registry: Database) -> Iterator[Service]:
    with running(settings) as started:
        yield started


def test_both_have_the_same_methods_with_the_same_parameters() -> None:
    def methods(kind: type) -> dict[str, Any]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(method) for name, method in found if not name.startswith("_")}

    ours, theirs = methods(Client), methods(AsyncClient)
    assert len(ours) >= 33
    assert ours.keys() == theirs.keys()
    for name in ours:
        blocking, awaiting = (list(each[name].parameters.values()) for each in (ours, theirs))
        assert [_given(each) for each in blocking] == [_given(each) for each in awaiting], name
        returned = [str(each[name].return_annotation) for each in (ours, theirs)]
        assert returned[1].replace("AsyncIterator", "Iterator") == returned[0], name


def _given(parameter: inspect.Parameter) -> tuple[Any, ...]:
    """What a caller sees of a parameter."""
    default = "a function" if inspect.isfunction(parameter.default) else parameter.default
    return parameter.name, parameter.kind, parameter.annotation, default


@both
def test_everything_that_can_be_asked_is_answered(connect: Any, service: Service, tmp_path: Path) -> None:
    ask = connect(service.url)
    has(ask("estimate", 12, (8, 4), num_minibatches=8), answers.SizedNetwork)
    has(ask("tiers")[0], answers.Tier)
    measured = ask("keep_calibration", MEASURED)
    has(measured, answers.CalibrationView)
    has(ask("calibration", measured["device"]), answers.CalibrationDetail)
    assert [row["id"] for row in ask("calibrations", device=measured["device"])] == [measured["id"]]
    has(ask("recommendation", rows=2335, obs_dim=5300, use_case="quick"), answers.Recommendation)
    sent: list[tuple[int, int]] = []
    about = {"name": "googl", "declarations": DECLARED, "licence": "MIT"}
    dataset = ask("upload_dataset", GOOGL, **about, on_progress=lambda *at: sent.append(at))
    assert sent[-1] == (GOOGL.stat().st_size,) * 2
    assert sent == sorted(sent)
    has(dataset, answers.DatasetView)
    assert ask("dataset", "googl")["id"] == dataset["id"] == ask("datasets")[0]["id"]
    assert ask("dataset_chart", "googl").startswith("<svg")
    has(ask("preview_job", SPEC), answers.JobPreview)
    job = ask("submit_job", SPEC, idempotency_key="k")
    has(job, answers.JobDetail)
    assert ask("job", job["id"])["id"] == job["id"]
    has(ask("jobs", state="queued")[0], answers.JobView)
    assert ask("cancel", job["id"])["state"] == "cancelled"
    assert ask("resume", job["id"])["state"] == "queued"
    ask("cancel", job["id"])
    assert ask("events", job["id"])[-1].ends_job
    has(ask("metrics", job["id"], ["entropy"], after_step=0), answers.MetricPoints)
    assert "cancelled" in ask("log", job["id"])
    assert ask("workers") == []
    assert ask("health")["status"] == "ok"
    assert "caliper_" in ask("measurements")
    assert ask("delete_dataset", dataset["id"]) is None
    assert ask("datasets") == []
    with pytest.raises(ServiceError, match="not ready"):
        ask("ready")


@both
def test_checkpoints_go_up_in_parts_come_down_and_are_compared(
    connect: Any, service: Service, tmp_path: Path
) -> None:
    large, small = tmp_path / "large.safetensors", tmp_path / "small.safetensors"
    large.write_bytes(safetensors_file(60, (40,)))
    small.write_bytes(safetensors_file())
    ask = connect(service.url)
    has(ask("inspect_checkpoint", large), answers.CheckpointReport)
    with pytest.raises(KeyboardInterrupt):
        ask("upload_checkpoint", large, name="m", tags=["a"], on_progress=break_off)
    told: list[tuple[int, int]] = []
    row = ask("upload_checkpoint", large, name="m", tags=["a"], on_progress=lambda *at: told.append(at))
    size = large.stat().st_size
    assert (told[0], told[-1]) == ((2 * PART, size), (size, size))
    has(row, answers.CheckpointDetail)
    has(row["report"], answers.CheckpointReport)
    assert row["sha256"] == hashlib.sha256(large.read_bytes()).hexdigest()
    told.clear()
    other = ask("upload_checkpoint", small, name="s", on_progress=lambda *at: told.append(at))
    assert told[-1] == (small.stat().st_size,) * 2
    assert [found["id"] for found in ask("checkpoints", tag="a")] == [row["id"]]
    assert {found["id"] for found in ask("checkpoints")} == {row["id"], other["id"]}
    assert ask("checkpoint", row["id"]) == row
    received: list[tuple[int, int]] = []
    copy = ask("download", row["id"], tmp_path / "copy", on_progress=lambda *at: received.append(at))
    assert copy.read_bytes() == large.read_bytes()
    assert received[-1] == (size, size)
    labelled = ask("label_checkpoint", row["id"], name="n", tags=["b", "c"], aliases=["live"])
    assert (labelled["name"], sorted(labelled["tags"]), labelled["aliases"]) == ("n", ["b", "c"], ["live"])
    assert ask("label_checkpoint", "live", aliases=[])["tags"] == labelled["tags"]
    has(ask("diff", row["id"], other["id"]), answers.CheckpointDiff)
    assert ask("diff_files", large, small)["weights_load"] is False
    ask("delete_checkpoint", other["id"])
    assert [found["id"] for found in ask("checkpoints")] == [row["id"]]


def break_off(received: int, size: int) -> None:
    """Ctrl-C once two parts have arrived."""
    if received >= 2 * PART:
        raise KeyboardInterrupt


@both
def test_weights_are_awaited_and_what_they_wait_for_is_told(connect: Any) -> None:
    waiting = {"id": "w1", "state": "queued", "waiting": "no worker is running", "result": None}
    taken = {**waiting, "state": "running", "waiting": None}
    done = {**taken, "state": "succeeded", "result": {"identical": True}}
    failed = {**taken, "state": "failed", "error": {"code": "not_found", "detail": "gone", "hint": "again"}}
    service = FakeService(
        {
            "POST /checkpoints/diff/weights": waiting,
            "GET /checkpoints/diff/weights/w1": Turns(waiting, taken, done, failed),
        }
    )
    ask = connect(URL, transport=httpx.MockTransport(service))
    told: list[str] = []
    assert ask("diff_weights", "a", "b", told.append) == {"identical": True}
    assert told == ["no worker is running"]
    with pytest.raises(ServiceError, match="gone") as caught:
        ask("diff_weights", "a", "b")
    assert (caught.value.code, caught.value.hint) == ("not_found", "again")


@both
def test_a_download_that_breaks_goes_on_and_patience_ends(connect: Any, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20
    row = {"id": "c1", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    refused = problem(503, "unavailable", "restarting")
    service = FakeService(
        {"GET /checkpoints/live": row, "GET /checkpoints/c1/file": Turns(refused, serve_range(content))}
    )
    ask = connect(URL, transport=httpx.MockTransport(service), patience_seconds=5)
    assert ask("download", "live", tmp_path / "copy").read_bytes() == content
    service.answers["GET /checkpoints/c1/file"] = refused
    ask = connect(URL, transport=httpx.MockTransport(service), patience_seconds=0)
    with pytest.raises(ServiceError, match="restarting"):
        ask("download", "live", tmp_path / "second")


@both
def test_a_kept_connection_that_was_closed_is_opened_again_where_that_does_no_harm(connect: Any) -> None:
    closed = httpx.RemoteProtocolError("Server disconnected without sending a response.")
    service = FakeService(
        {
            "GET /tiers": Turns(closed, []),
            "POST /jobs": Turns(closed, {"id": "job_1"}),
            "POST /jobs/job_1/resume": closed,
            "PATCH /checkpoints/c1": Turns(closed, {"id": "c1"}),
        }
    )
    ask = connect(URL, transport=httpx.MockTransport(service))
    assert ask("tiers") == []
    assert ask("submit_job", {}) == {"id": "job_1"}
    keys = [request.headers["idempotency-key"] for request in service.asked[-2:]]
    assert keys[0] == keys[1]
    with pytest.raises(ServiceError, match="broke"):
        ask("resume", "job_1")
    assert ask("label_checkpoint", "c1", tags=[]) == {"id": "c1"}
    assert json.loads(service.asked[-1].content) == {"tags": []}


@both
def test_headers_of_the_callers_own_go_with_every_request(connect: Any) -> None:
    service = FakeService({"GET /tiers": []})
    ask = connect(URL, transport=httpx.MockTransport(service), headers={"Authorization": "Bearer secret"})
    ask("tiers")
    assert service.asked[0].headers["authorization"] == "Bearer secret"
    assert service.asked[0].headers["accept"] == "application/json"


@both
def test_time_limits_are_the_callers(connect: Any) -> None:
    service = FakeService({"GET /tiers": []})
    connect(URL, transport=httpx.MockTransport(service), timeout=1.5)("tiers")
    assert set(service.asked[0].extensions["timeout"].values()) == {1.5}


def test_an_own_asynchronous_httpx_client_is_left_open() -> None:
    service = FakeService({"GET /tiers": []})

    async def run() -> None:
        own = httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(service))
        async with AsyncClient(http=own) as client:
            assert await client.tiers() == []
        assert not own.is_closed
        await own.aclose()

    asyncio.run(run())


def test_every_operation_of_the_api_has_its_call(operations: set[str]) -> None:
    """What the OpenAPI document offers, the client asks for; HEAD only says in short what GET says."""
    asked = {_operation(call) for call in SAMPLES}
    assert asked == operations


def _operation(call: calls.Call[Any]) -> str:
    """Method and path of a call, whose arguments were names in braces."""
    return f"{call.method} {unquote(call.path)}"


SAMPLES = (
    calls.estimate(1, (1,), {}),
    calls.tiers(),
    calls.recommendation({}),
    calls.keep_calibration({}),
    calls.calibrations({}),
    calls.calibration("{calibration_id}"),
    calls.upload_dataset(GOOGL, {}),
    calls.datasets({}),
    calls.dataset("{dataset_id}"),
    calls.dataset_chart("{dataset_id}"),
    calls.check_dataset(GOOGL, {}),
    calls.splits("{dataset_id}"),
    calls.delete_dataset("{dataset_id}"),
    calls.submit_job({}),
    calls.preview_job({}),
    calls.jobs({}),
    calls.job("{job_id}"),
    calls.cancel("{job_id}"),
    calls.resume("{job_id}"),
    calls.metrics("{job_id}"),
    calls.evaluation("{job_id}"),
    calls.evaluation_page("{job_id}"),
    calls.evaluation_picture("{job_id}"),
    calls.log("{job_id}"),
    calls.events("{job_id}", 0),
    calls.inspect_registered("{checkpoint_id}"),
    calls.inspect_checkpoint(GOOGL),
    calls.upload_checkpoint(GOOGL, ""),
    calls.begin_upload("", 0, ""),
    calls.upload("{upload_id}"),
    calls.send_part("{upload_id}", calls.FilePart(GOOGL, 0, 0)),
    calls.give_up_upload("{upload_id}"),
    calls.checkpoints({}),
    calls.checkpoint("{checkpoint_id}"),
    calls.label_checkpoint("{checkpoint_id}", {}),
    calls.delete_checkpoint("{checkpoint_id}"),
    calls.checkpoint_file("{checkpoint_id}", "", 0),
    calls.export("{checkpoint_id}", ""),
    calls.diff("", ""),
    calls.diff_files(GOOGL, GOOGL),
    calls.begin_weights_diff("", ""),
    calls.weights_diff("{diff_id}"),
    calls.workers(),
    calls.drain_worker("{worker_id}", now=False),
    calls.queue(),
    calls.health(),
    calls.ready(),
    calls.measurements(),
    calls.create_key({}),
    calls.keys({}),
    calls.own_key(),
    calls.revoke_key("{key_id}"),
    calls.audit({}),
)


def has(answer: Any, kind: Any) -> None:
    """Assert that an answer has the keys that its type promises."""
    assert answer.keys() == get_type_hints(kind).keys(), kind


TYPES = [kind for kind in vars(answers).values() if is_typeddict(kind) and kind is not answers.Page]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("openapi")))
    found: dict[str, Any] = app.openapi()
    app.state.parts.queue.close()
    app.state.parts.database.close()
    return found


@pytest.fixture(scope="module")
def schemas(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"]
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if method in {"get", "post", "put", "patch", "delete"}
    }


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_the_types_of_answers_are_those_of_the_openapi_document(kind: Any, schemas: dict[str, Any]) -> None:
    described = schemas[kind.__name__]["properties"]
    hints = get_type_hints(kind)
    assert hints.keys() == described.keys()
    for name, hint in hints.items():
        assert hint is Any or spelled(hint) == kinds(described[name], schemas), name


JSON_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def spelled(hint: Any) -> set[str]:
    """The JSON types that a Python type stands for."""
    origin = get_origin(hint)
    if origin in {types.UnionType, Union}:
        return set().union(*(spelled(each) for each in get_args(hint)))
    if origin is Literal:
        return {"string"}
    if origin is list:
        return {"array"}
    return {JSON_NAMES.get(hint, "object")}


def kinds(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """The JSON types that a schema allows."""
    if "$ref" in schema:
        return kinds(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return set().union(*(kinds(each, schemas) for each in schema["anyOf"]))
    return {schema["type"]}
