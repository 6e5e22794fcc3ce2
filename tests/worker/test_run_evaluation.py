"""A trained job's way to its report: opened, judged, stored, drawn, asked for over HTTP."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from factories import small_spec, upload_googl
from PIL import Image
from running_service import Service, running

from app.actions.submit_job import submit_job
from app.client import Client
from app.errors import Conflict, InvalidConfig, InvalidDataset, InvalidInput
from app.registry.attempts import Claim, claim_job, interrupt_job
from app.registry.database import Database
from app.registry.evaluations import figures_of, list_evaluations
from app.registry.jobs import get_job
from app.registry.tables import Job
from app.settings import Settings
from app.storage import FolderStorage
from worker.run import StopFlag, TrainingRun


class Bench:
    """A registry with the shipped bars, where jobs are trained in this process."""

    def __init__(self, registry: Database, storage: FolderStorage, settings: Settings) -> None:
        self.registry, self.storage, self.settings = registry, storage, settings
        upload_googl(registry, storage, settings)

    def submit(self, **values: Any) -> Job:
        return submit_job(self.registry, self.settings, small_spec(**{"total_timesteps": 128, **values})).job

    def claim(self, job: Job) -> Claim:
        with self.registry.write() as session:
            claim = claim_job(session, job.id, "worker", 60)
        assert claim is not None
        return claim

    def train(self, **values: Any) -> Job:
        job = self.submit(**values)
        TrainingRun(self.settings, self.registry, self.claim(job).hold, StopFlag()).execute()
        with self.registry.read() as session:
            done = get_job(session, job.id)
        assert done.error is None
        return done


@pytest.fixture
def bench(registry: Database, storage: FolderStorage, settings: Settings) -> Bench:
    return Bench(registry, storage, settings)


@pytest.fixture
def service(settings: Settings, registry: Database) -> Iterator[Service]:
    with running(settings) as started:
        yield started


def test_a_trained_job_has_a_report_a_page_and_a_picture(bench: Bench, service: Service) -> None:
    job = bench.train()
    with Client(service.url) as client:
        report = client.evaluation(job.id)
        page = client.evaluation_page(job.id)
        picture = client.evaluation_picture(job.id, "googl")
    (asset,) = report["assets"]
    evaluation = asset["evaluation"]
    assert [span["name"] for span in evaluation["spans"]] == ["train", "validation", "test"]
    assert evaluation["parameters"] == job.estimate["parameters"]
    assert evaluation["deflation"]["trials"] == asset["openings"] == 1
    assert [len(curve["seconds"]) for curve in asset["curves"]] == [400, 326, 326]
    assert evaluation["verdict"][0] in page.replace("&amp;", "&")
    with Image.open(io.BytesIO(picture)) as opened:
        assert opened.format == "PNG"
    assert job.result is not None
    assert job.result["evaluations"][job.dataset_id]["verdict"] == evaluation["verdict"]
    with bench.registry.read() as session:
        figures = {each.span: each for each in figures_of(session, job.id)}
    assert figures["test"].sharpe == evaluation["spans"][2]["policy"]["sharpe"]


def test_folds_of_a_walk_forward_run_join_to_one_history(bench: Bench, service: Service) -> None:
    jobs = [bench.train(folds=2, fold=fold, walk_forward="wf") for fold in (1, 2)]
    with Client(service.url) as client:
        groups = [client.evaluation(job.id)["assets"][0]["walk_forward"] for job in jobs]
        pictures = {client.evaluation_picture(job.id) for job in jobs}
    assert groups[0] == groups[1]
    rows = groups[0]["finished"]
    assert [row["job_id"] for row in rows] == [job.id for job in jobs]
    assert rows[0]["train_bars"] < rows[1]["train_bars"]
    joined = groups[0]["joined"]
    assert joined["policy"]["periods"] == sum(row["test"]["periods"] for row in rows)
    growth = [1 + row["test"]["total_return"] for row in rows]
    assert 1 + joined["policy"]["total_return"] == pytest.approx(growth[0] * growth[1])
    assert len(pictures) == 2  # the first one's was drawn anew, with both folds, under its own verdict
    kept = [path for path in bench.storage.objects.rglob("*") if path.is_file()]
    assert len(kept) == 1 + 2 * 3  # bars; and for each job its checkpoint, returns and picture


def test_an_attempt_that_repeats_the_end_opens_the_span_no_second_time(bench: Bench) -> None:
    job = bench.submit()
    claim = bench.claim(job)
    run = TrainingRun(bench.settings, bench.registry, claim.hold, StopFlag())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.record.finish_job", _die)
        with pytest.raises(KeyboardInterrupt):
            run.execute()
    with bench.registry.write() as session:
        interrupt_job(session, claim.hold, "died at the very end")
    TrainingRun(bench.settings, bench.registry, bench.claim(job).hold, StopFlag()).execute()
    with bench.registry.read() as session:
        (row,) = list_evaluations(session, job.id)
        assert get_job(session, job.id).state == "succeeded"
    assert row.opening == 1
    assert bench.train(seed=2).id != job.id


def test_what_is_to_be_done_once_the_markets_are_made_is_done_before_training(bench: Bench) -> None:
    updates: list[int] = []
    hold = bench.claim(bench.submit()).hold
    run = TrainingRun(
        bench.settings,
        bench.registry,
        hold,
        StopFlag(),
        assembled=lambda: updates.append(run.assembly.trainer.update),
    )
    run.execute()
    assert updates == [0]


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_picture_that_cannot_be_drawn_costs_no_trained_policy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr("worker.chart.draw_chart", fail)
    job = bench.train()
    assert job.state == "succeeded"
    with bench.registry.read() as session:
        assert [row.chart_sha256 for row in list_evaluations(session, job.id)] == [None]


def test_a_group_holds_folds_of_one_run_only(bench: Bench) -> None:
    bench.submit(folds=2, fold=1, walk_forward="wf")
    bench.submit(folds=2, fold=2, walk_forward="wf", seed=9, name="another seed is fine")
    with pytest.raises(Conflict, match="differs in hidden_dims"):
        bench.submit(folds=2, fold=2, walk_forward="wf", hidden_dims=[16])
    with pytest.raises(Conflict, match="differs in folds"):
        bench.submit(folds=3, fold=2, walk_forward="wf")


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"fold": 1}, InvalidInput, "fold is 1 of no folds"),
        ({"folds": 3, "fold": 4}, InvalidInput, "fold is 4 of 3"),
        ({"folds": 21}, InvalidInput, "21"),
        ({"folds": 20}, InvalidDataset, "span would hold"),
        ({"walk_forward": "wf"}, InvalidConfig, "has no folds"),
        ({"walk_forward": "a b", "folds": 2}, InvalidConfig, "walk_forward is 'a b'"),
    ],
)
def test_folds_that_cannot_be_are_refused(
    bench: Bench, values: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        bench.submit(**values)
