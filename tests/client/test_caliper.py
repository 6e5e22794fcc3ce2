"""Caliper and AsyncCaliper: the service's own dataclasses, from a real service."""

import asyncio
import dataclasses
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import httpx
import pytest
from fake_service import URL, FakeService, job
from running_service import Service, running, safetensors_file

from app.client import AsyncCaliper, AsyncClient, Caliper, Client, ServiceError, kinds
from app.jobs.lifecycle import State
from app.registry.database import Database
from app.settings import Settings

ROOT = Path(__file__).parents[2]
GOOGL = ROOT / "examples" / "data" / "googl_1d.csv"
DECLARED = {"calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
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


@pytest.fixture
def service(settings: Settings, registry: Database) -> Iterator[Service]:
    with running(settings) as started:
        yield started


@pytest.mark.parametrize(("typed", "plain"), [(Caliper, Client), (AsyncCaliper, AsyncClient)])
def test_they_have_the_methods_of_the_clients_in_json_and_answer_with_the_dataclasses_of_their_names(
    typed: Any, plain: Any
) -> None:
    ours, theirs = _methods(typed), _methods(plain)
    assert ours.keys() == theirs.keys(), "a method that was added to one belongs to all four"
    for name, method in ours.items():
        mine, other = inspect.signature(method), inspect.signature(theirs[name])
        assert [_given(each) for each in mine.parameters.values()] == [
            _given(each) for each in other.parameters.values()
        ], name
        assert _bare(mine.return_annotation) == _bare(other.return_annotation), name
        for kind in _kinds(get_type_hints(method)["return"]):
            assert dataclasses.is_dataclass(kind) or kind in {str, bytes, Path, type(None)}, name


def _methods(kind: type) -> dict[str, Any]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: method for name, method in found if not name.startswith("_")}


def _given(parameter: inspect.Parameter) -> tuple[Any, ...]:
    default = "a function" if inspect.isfunction(parameter.default) else parameter.default
    return parameter.name, parameter.kind, parameter.annotation, default


def _bare(annotation: Any) -> str:
    """A type without the module that it is of."""
    return re.sub(r"[\w.]+\.", "", str(annotation).replace("<class '", "").replace("'>", ""))


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) or (annotation,)


def test_every_answer_is_its_dataclass(service: Service, tmp_path: Path) -> None:
    model = tmp_path / "policy.safetensors"
    model.write_bytes(safetensors_file())
    with Caliper(service.url) as caliper:
        sized = caliper.estimate(12, (8, 4), num_minibatches=8)
        assert sized.hidden_dims == (8, 4)
        assert sized.disk.checkpoint.bytes > 0
        assert caliper.tiers()[0].smallest_bytes > 0
        assert caliper.recommendation(rows=2335, obs_dim=5300, use_case="quick").candidates
        dataset = caliper.upload_dataset(GOOGL, name="googl", declarations=DECLARED)
        assert dataset.starts_at.year == 2009
        assert dataset.report.prices is not None
        assert [row.id for row in caliper.datasets()] == [dataset.id]
        submitted = caliper.submit_job(SPEC)
        assert isinstance(submitted, kinds.JobDetail)
        assert (submitted.state, submitted.hidden_dims) == (State.QUEUED, (8,))
        assert caliper.cancel(submitted.id).state == "cancelled"
        assert list(caliper.events(submitted.id))[-1].ends_job
        assert [row.state for row in caliper.jobs(state="cancelled")] == [State.CANCELLED]
        row = caliper.upload_checkpoint(model, name="m", tags=["a"])
        assert row.report is not None
        assert row.report.architecture.hidden_dims.value == (8, 4)
        assert caliper.label_checkpoint(row.id, aliases=["live"]).aliases == ["live"]
        assert caliper.download("live", tmp_path / "copy").read_bytes() == model.read_bytes()
        assert caliper.diff(row.id, "live").weights_load
        assert caliper.workers() == []
        assert caliper.health().status == "ok"
        assert caliper.json.job(submitted.id)["id"] == submitted.id


def test_so_it_is_for_asyncio(service: Service) -> None:
    async def ask() -> None:
        async with AsyncCaliper(service.url) as caliper:
            assert (await caliper.estimate(12, (8, 4))).hidden_dims == (8, 4)
            await caliper.upload_dataset(GOOGL, name="googl", declarations=DECLARED)
            submitted = await caliper.submit_job(SPEC)
            await caliper.cancel(submitted.id)
            assert [event async for event in caliper.events(submitted.id)][-1].ends_job
            assert [row.id async for row in caliper.jobs()] == [submitted.id]
            assert (await caliper.tiers())[0].name

    asyncio.run(ask())


def played(answer: Any) -> Callable[[], Caliper]:
    service = FakeService({"GET /jobs/job_1": answer})
    return lambda: Caliper(URL, transport=httpx.MockTransport(service))


def test_what_a_later_release_adds_is_left_out_and_what_lacks_is_said() -> None:
    whole = {
        **job(),
        "desired": "run",
        "dataset_ids": [],
        "failures": 0,
        "max_attempts": 3,
        "queue": "q",
        "resume_from": None,
        "request_id": None,
        "priority": 0,
        "waiting": None,
        "used_seconds": 0.0,
        "links": {},
        "new_in_2027": 1,
    }
    with played(whole)() as caliper:
        assert not hasattr(caliper.job("job_1"), "new_in_2027")
    del whole["tier"]
    with played(whole)() as caliper, pytest.raises(ServiceError, match="no JobDetail") as caught:
        caliper.job("job_1")
    assert (caught.value.code, caught.value.pointer) == ("unexpected_answer", "tier")


def test_the_readmes_example_runs_as_it_is_printed(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a running service; a played worker ends the job at once."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## As a client")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    monkeypatch.setenv("CALIPER_URL", service.url)
    monkeypatch.chdir(ROOT)
    events = Caliper.events

    def cancel_first(caliper: Caliper, job_id: str, **more: Any) -> Any:
        caliper.cancel(job_id)
        return events(caliper, job_id, **more)

    monkeypatch.setattr(Caliper, "events", cancel_first)
    exec(compile(code[1], "README.md", "exec"), {"__name__": "__main__"})
    said = capsys.readouterr().out
    assert "parameters" in said
    assert "cancelled" in said


def test_iterators_are_of_the_right_kind() -> None:
    service = FakeService({"GET /jobs": {"items": [], "next_cursor": None}})
    assert isinstance(Caliper(URL, transport=httpx.MockTransport(service)).jobs(), Iterator)
    assert isinstance(AsyncCaliper(URL, transport=httpx.MockTransport(service)).jobs(), AsyncIterator)
