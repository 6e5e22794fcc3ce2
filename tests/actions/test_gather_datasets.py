"""Jobs on several datasets: what is refused, what is shared, what the registry then knows."""

import io
from dataclasses import replace

import pytest
from factories import small_spec
from sqlalchemy import select

from app.actions.accept_dataset import accept_dataset
from app.actions.discard_dataset import discard_dataset
from app.actions.submit_job import submit_job
from app.errors import Conflict, InvalidConfig, InvalidDataset, LimitExceeded, NotFound
from app.jobs.plan import EPISODE_BYTES, MONEY_BYTES, TrainingPlan
from app.jobs.spec import MAX_DATASETS
from app.market.bars import Bars
from app.registry.attempts import claim_job, stop_job
from app.registry.database import Database
from app.registry.job_lists import list_jobs
from app.registry.jobs import datasets_of, resume
from app.registry.tables import Dataset, Job, JobDataset
from app.settings import Settings
from app.storage import Storage
from tests.market.making import make_bars

BTC, ETH = make_bars(1_500, seed=1), make_bars(1_400, seed=2)


def upload(registry: Database, storage: Storage, settings: Settings, name: str, bars: Bars) -> Dataset:
    file = io.BytesIO(bars.canonical_bytes())
    return accept_dataset(registry, storage, settings, file, name=name, declarations=bars.declarations)


BARS = {
    "btc": BTC,
    "eth": ETH,
    "far": replace(make_bars(1_500, seed=3), utc_us=BTC.utc_us + 10**16),
    "silent": replace(ETH, volume=ETH.volume * 0),
    "daily": replace(BTC, utc_us=BTC.utc_us * 24, declarations=replace(BTC.declarations, bar_seconds=86_400)),
}


@pytest.fixture(autouse=True)
def uploads(
    request: pytest.FixtureRequest, registry: Database, storage: Storage, settings: Settings
) -> dict[str, Dataset]:
    """The datasets that a test names in its own parameters, else three of them."""
    names = getattr(request.node, "callspec", None)
    wanted = names.params.get("names", ()) if names else ("btc", "eth", "silent")
    return {
        name: upload(registry, storage, settings, name, BARS[name])
        for name in dict.fromkeys(wanted)
        if name in BARS
    }


def several(registry: Database, settings: Settings, *names: str) -> Job:
    return submit_job(registry, settings, small_spec(dataset=None, datasets=list(names))).job


def test_a_job_of_two_datasets_keeps_both_in_order(
    registry: Database, settings: Settings, uploads: dict[str, Dataset]
) -> None:
    job = several(registry, settings, "eth", "btc")
    ids = [uploads[name].id for name in ("eth", "btc")]
    assert job.dataset_id == ids[0]
    assert job.name == "eth+btc 8"
    plan = TrainingPlan.from_plain(job.id, job.config)
    assert list(plan.dataset_ids) == ids
    assert plan.plain() == job.config
    with registry.read() as session:
        assert datasets_of(session, [job.id]) == {job.id: ids}
        for dataset_id in ids:
            assert [row.id for row in list_jobs(session, limit=9, dataset_id=dataset_id)] == [job.id]
        assert list_jobs(session, limit=9, dataset_id=uploads["silent"].id) == []


def test_sizes_count_the_rows_of_every_dataset(registry: Database, settings: Settings) -> None:
    both, one = several(registry, settings, "btc", "eth"), several(registry, settings, "btc")
    per_row = 2 * 4 + MONEY_BYTES + EPISODE_BYTES
    held = [
        next(part["bytes"] for part in job.estimate["memory"]["components"] if part["name"] == "dataset")
        for job in (both, one)
    ]
    assert held == [(1_500 + 1_400) * per_row, 1_500 * per_row]
    assert both.predicted_bytes > one.predicted_bytes


def test_one_name_in_datasets_is_the_same_job_as_in_dataset(registry: Database, settings: Settings) -> None:
    listed = several(registry, settings, "btc")
    single = submit_job(registry, settings, small_spec(dataset="btc")).job
    assert {**listed.config, "job": 0} == {**single.config, "job": 0}
    assert listed.predicted_bytes == single.predicted_bytes


def test_volume_features_are_masked_in_all_where_one_has_no_volume(
    registry: Database, settings: Settings
) -> None:
    spec = small_spec(dataset=None, datasets=["btc", "silent"], features=["ret_1", "vol_z_50"])
    job = submit_job(registry, settings, spec).job
    assert job.config["schema"]["masked"] == ["vol_z_50"]
    assert "silent" in job.reasons["masked"]
    assert "masked" not in several(registry, settings, "btc", "eth").reasons


@pytest.mark.parametrize(
    ("names", "error", "words", "pointer"),
    [
        (("btc", "nope"), NotFound, "no dataset 'nope'", "datasets/1"),
        (("btc", "eth", "btc"), InvalidConfig, "is the same dataset as btc", "datasets/2"),
        (("btc", "daily"), InvalidConfig, "bars of daily last 86400 s, those of btc 3600 s", "datasets/1"),
        (("btc", "far"), InvalidDataset, r"E_TOO_SHORT: (btc|far) .*share the dates", ""),
        (("x",) * (MAX_DATASETS + 1), LimitExceeded, "101 exceeds the limit of 100", "datasets"),
        ((), InvalidConfig, "no dataset is named", "datasets"),
    ],
)
def test_what_cannot_be_trained_on_together_is_refused(
    registry: Database,
    settings: Settings,
    names: tuple[str, ...],
    error: type[NotFound],
    words: str,
    pointer: str,
) -> None:
    with pytest.raises(error, match=words) as caught:
        several(registry, settings, *names)
    assert caught.value.pointer == pointer
    with registry.read() as session:
        assert list_jobs(session, limit=9) == []
        assert session.scalars(select(JobDataset)).all() == []


def test_the_same_bars_under_another_name_are_refused(
    registry: Database, storage: Storage, settings: Settings
) -> None:
    upload(registry, storage, settings, "btc-copy", BTC)
    with pytest.raises(InvalidConfig, match="the same bars as btc"):
        several(registry, settings, "btc", "btc-copy")


def test_naming_both_fields_or_none_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="both given"):
        small_spec(datasets=["btc"])
    with pytest.raises(InvalidConfig, match="no dataset is named"):
        small_spec(dataset=None)


def test_a_job_resumes_only_while_all_its_datasets_are_there(registry: Database, settings: Settings) -> None:
    job = several(registry, settings, "btc", "eth")
    with registry.write() as session:
        claimed = claim_job(session, job.id, "worker-1", 60)
        assert claimed is not None
        assert stop_job(session, claimed.hold, "cancelled")
    discard_dataset(registry, "eth")
    with registry.write() as session, pytest.raises(Conflict, match=r"of job .* was deleted"):
        resume(session, job.id)


def test_a_row_of_before_several_datasets_is_still_understood(registry: Database, settings: Settings) -> None:
    job = several(registry, settings, "btc")
    (one,) = job.config["datasets"]
    old = {name: value for name, value in job.config.items() if name != "datasets"}
    old |= {"dataset": {name: value for name, value in one.items() if name != "fold"}, "fold": one["fold"]}
    assert TrainingPlan.from_plain(job.id, old) == TrainingPlan.from_plain(job.id, job.config)
