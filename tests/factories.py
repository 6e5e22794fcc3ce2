"""Rows with sensible values, for tests that care about one thing at a time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.actions.accept_dataset import accept_dataset
from app.jobs.spec import JobSpec
from app.market.declarations import Declarations
from app.market.trading import RETAIL_COSTS, EnvSpec
from app.registry.database import Database, new_id
from app.registry.tables import Checkpoint, Dataset, Job
from app.settings import Settings
from app.storage import Storage

GOOGL = Path(__file__).parents[1] / "examples" / "data" / "googl_1d.csv"
DAILY_EQUITY = Declarations(calendar="XNYS", adjusted="split", volume_unit="shares")


def upload_googl(database: Database, storage: Storage, settings: Settings, name: str = "googl") -> Dataset:
    """Register the shipped daily bars."""
    with GOOGL.open("rb") as file:
        return accept_dataset(database, storage, settings, file, name=name, declarations=DAILY_EQUITY)


def small_spec(**values: Any) -> JobSpec:
    """A job that a CPU trains in a second: 35 inputs, one layer of 8."""
    small = {
        "dataset": "googl",
        "environment": EnvSpec(RETAIL_COSTS),
        "total_timesteps": 512,
        "hidden_dims": [8],
        "lookback": 5,
        "features": ["ret_1", "rsi_14"],
        "overrides": {"num_envs": 4, "num_steps": 32},
    }
    return JobSpec(**{**small, **values})


def make_dataset(**values: Any) -> Dataset:
    return Dataset(
        **{
            "id": new_id("dataset"),
            "name": "googl",
            "sha256": "a" * 64,
            "file_sha256": "b" * 64,
            "rows": 2335,
            "bar_seconds": 86400,
            "starts_at": datetime(2009, 5, 22, tzinfo=UTC),
            "ends_at": datetime(2018, 8, 29, tzinfo=UTC),
            "declarations": {"timezone": "UTC"},
            "report": {"warnings": []},
            **values,
        }
    )


def make_job(dataset: Dataset, **values: Any) -> Job:
    return Job(
        **{
            "id": new_id("job"),
            "name": "first",
            "dataset_id": dataset.id,
            "spec": {"dataset": dataset.id},
            "config": {"hidden_dims": [8]},
            "reasons": {},
            "estimate": {},
            "hidden_dims": "8",
            "obs_dim": 5300,
            "tier": "cpu",
            "queue": "caliper.cpu",
            "predicted_bytes": 1000,
            "state": "queued",
            **values,
        }
    )


def make_checkpoint(**values: Any) -> Checkpoint:
    return Checkpoint(
        **{
            "id": new_id("checkpoint"),
            "name": "policy",
            "kind": "uploaded",
            "sha256": "c" * 64,
            "bytes": 1000,
            "producer": "caliper",
            "obs_dim": 5300,
            "hidden_dims": "8",
            "action_dim": 3,
            "parameters": 100,
            "report": {},
            **values,
        }
    )
