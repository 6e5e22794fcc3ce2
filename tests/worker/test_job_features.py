"""A job's features, from POST /jobs to the environment and the checkpoint; mismatches named by feature."""

import io
from typing import Any

import numpy as np
import polars as pl
import pytest
from factories import small_spec, upload_googl

from app.actions.accept_dataset import accept_dataset
from app.actions.submit_job import submit_job
from app.errors import InvalidConfig, InvalidInput
from app.jobs.plan import TrainingPlan
from app.market.bars import load_bars
from app.market.declarations import Declarations
from app.market.features import compute_features
from app.market.scaler import RobustScaler
from app.market.schema import FeatureSchema
from app.registry.attempts import claim_job
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.database import Database
from app.registry.jobs import get_job
from app.registry.tables import Checkpoint, Dataset, Job
from app.settings import Settings
from app.storage import FolderStorage
from tests.market.making import make_bars
from worker.run import StopFlag, TrainingRun
from worker.save import load_checkpoint

pytestmark = pytest.mark.usefixtures("dataset")


class Bench:
    """A registry with bars that have two columns of their own."""

    def __init__(self, registry: Database, storage: FolderStorage, settings: Settings) -> None:
        self.registry, self.storage, self.settings = registry, storage, settings

    def upload(self, name: str, columns: str, seed: int = 0) -> Dataset:
        rng = np.random.default_rng(seed)
        bars = make_bars(2400, seed=seed)
        own = [pl.Series(column, rng.normal(5, 2, len(bars))) for column in ("mood", "funding")]
        file = io.BytesIO(
            bars.frame().with_columns(own).write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ").encode()
        )
        declared = Declarations(calendar="24x7", feature_columns=columns)
        return accept_dataset(
            self.registry, self.storage, self.settings, file, name=name, declarations=declared
        )

    def submit(self, **values: Any) -> Job:
        return submit_job(self.registry, self.settings, small_spec(**{"dataset": "own", **values})).job

    def run(self, job: Job) -> Job:
        with self.registry.write() as session:
            claim = claim_job(session, job.id, "worker", 60)
        assert claim is not None
        TrainingRun(self.settings, self.registry, claim.hold, StopFlag()).execute()
        with self.registry.read() as session:
            return get_job(session, job.id)

    def checkpoint(self, job: Job) -> Checkpoint:
        with self.registry.read() as session:
            (found,) = list_checkpoints(session, limit=9, filters={"job_id": job.id})
            session.refresh(found, ["report", "config"])  # a list leaves them out
        return found


@pytest.fixture
def bench(registry: Database, storage: FolderStorage, settings: Settings) -> Bench:
    return Bench(registry, storage, settings)


@pytest.fixture
def dataset(bench: Bench) -> Dataset:
    return bench.upload("own", "mood,funding")


def test_subset_own_columns_and_lookback_reach_the_checkpoint(bench: Bench, dataset: Dataset) -> None:
    job = bench.submit(features=["funding", "ret_1"], lookback=7)
    assert job.obs_dim == 7 * (2 + 5)
    done = bench.run(job)
    assert done.state == "succeeded", done.error
    row = bench.checkpoint(job)
    assert row.bytes == row.predicted_bytes
    contents = load_checkpoint(bench.storage.path(row.sha256))
    schema = contents["feature_schema"]
    assert (schema["names"], schema["own"], schema["lookback"]) == (["funding", "ret_1"], ["funding"], 7)
    known = FeatureSchema(names=("funding", "ret_1"), own=("funding",), lookback=7)
    assert (schema["hash"], schema["own_hash"]) == (known.hash, known.own_hash)
    assert schema["min_history"] == 506
    assert row.report["feature_schema"]["hash_holds"] is True
    assert list(row.report["feature_schema"]["names"]) == ["funding", "ret_1"]


def test_the_scaler_in_the_checkpoint_is_that_of_the_training_span_alone(
    bench: Bench, dataset: Dataset
) -> None:
    job = bench.submit(features=["funding", "ret_1"])
    bench.run(job)
    kept = load_checkpoint(bench.storage.path(bench.checkpoint(job).sha256))["normaliser"]
    plan = TrainingPlan.from_plain(job.id, job.config)
    train = plan.datasets[0].fold.train
    features = compute_features(load_bars(bench.storage.path(dataset.file_sha256)), plan.schema)
    fitted = RobustScaler.fit(features, train.start, train.stop)
    assert (kept["center"], kept["scale"]) == (list(fitted.center), list(fitted.scale))
    assert fitted != RobustScaler.fit(features, train.start, len(features))


def test_all_features_are_those_of_the_schema_and_then_the_datasets_own(bench: Bench) -> None:
    job = bench.submit(features=None, lookback=10)
    assert job.config["schema"]["names"][-2:] == ["mood", "funding"]
    assert job.obs_dim == 10 * (48 + 2 + 5)


def test_unknown_features_are_refused_with_what_there_is(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="sentiment") as caught:
        bench.submit(features=["sentiment"])
    assert "mood, funding" in caught.value.hint


def test_several_datasets_share_their_common_columns_and_name_the_one_that_lacks_one(bench: Bench) -> None:
    bench.upload("other", "mood", seed=3)
    both = {"dataset": None, "datasets": ["own", "other"]}
    assert bench.submit(**both, features=None).config["schema"]["own"] == ["mood"]
    with pytest.raises(InvalidInput, match=r"other \(.*\) has no feature column 'funding'"):
        bench.submit(**both, features=["funding", "ret_1"])


def test_a_start_from_other_features_is_refused_when_it_is_submitted(
    bench: Bench, registry: Database, storage: FolderStorage, settings: Settings
) -> None:
    first = bench.submit(features=["ret_1", "mfi_14"])
    bench.run(first)
    parent = bench.checkpoint(first)
    child = bench.run(bench.submit(features=["ret_1", "mfi_14"], initial_checkpoint=parent.id, seed=9))
    assert child.state == "succeeded", child.error
    with pytest.raises(InvalidConfig) as caught:
        bench.submit(features=["ret_1", "mood", "rsi_14"], initial_checkpoint=parent.id)
    words = "bundle has mfi_14 at #1, service computes mood; 1 missing, 2 extra (missing: mfi_14; extra: mood, rsi_14)"
    assert words in caught.value.detail
    assert caught.value.pointer == "initial_checkpoint"
    with pytest.raises(InvalidConfig, match="lookback: bundle 5, service 6"):
        bench.submit(features=["ret_1", "mfi_14"], lookback=6, initial_checkpoint=parent.id)
    upload_googl(registry, storage, settings)
    other_market = bench.submit(dataset="googl", features=["ret_1", "mfi_14"], initial_checkpoint=parent.id)
    assert bench.run(other_market).state == "succeeded"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"library": "TA-Lib 0.0.1"}, "library: bundle TA-Lib 0.0.1, service TA-Lib"),
        ({"names": ["ret_1", "mfi_20"]}, "bundle has mfi_20 at #1, service computes ret_5"),
    ],
)
def test_a_job_of_another_release_fails_and_names_what_differs(
    bench: Bench, changed: dict[str, Any], words: str
) -> None:
    job = bench.submit()
    with bench.registry.write() as session:
        row = get_job(session, job.id)
        row.config = {**row.config, "schema": {**row.config["schema"], **changed}}
    done = bench.run(job)
    assert done.state == "failed"
    assert done.error is not None
    assert words in done.error["detail"]
