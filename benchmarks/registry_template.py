"""The documents of one job that was really submitted, trained and read back: what the rows of a full registry hold."""

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.actions.accept_dataset import accept_dataset
from app.actions.submit_job import submit_job
from app.jobs.spec import JobSpec
from app.market.declarations import Declarations
from app.market.trading import RETAIL_COSTS, EnvSpec
from app.registry.attempts import claim_job
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database, migrate
from app.registry.datasets import get_dataset
from app.registry.jobs import get_job
from app.settings import Settings
from app.storage import FolderStorage
from worker.run import StopFlag, TrainingRun

BARS = Path(__file__).parents[1] / "examples" / "data" / "googl_1d.csv"

Row = dict[str, Any]
"""A row as the database takes it, by column."""


@dataclass(frozen=True)
class Template:
    """Columns of a real dataset, job and checkpoint."""

    dataset: Row
    job: Row
    checkpoint: Row


def make_template(folder: Path) -> Template:
    """Submit one job, train it for one update, and take its rows."""
    settings = Settings(data_dir=folder)
    migrate(settings.database_url)
    database, storage = Database(settings.database_url), FolderStorage(settings.artifacts_dir)
    with closing(database):
        equity = Declarations(calendar="XNYS", adjusted="split", volume_unit="shares")
        with BARS.open("rb") as file:
            accept_dataset(database, storage, settings, file, name="bars", declarations=equity)
        spec = JobSpec(
            dataset="bars",
            environment=EnvSpec(RETAIL_COSTS),
            total_timesteps=128,
            hidden_dims=[64, 32],
            overrides={"num_envs": 4, "num_steps": 32},
        )
        job = submit_job(database, settings, spec).job
        with database.write() as session:
            claim = claim_job(session, job.id, "template", 600)
        assert claim is not None
        TrainingRun(settings, database, claim.hold, StopFlag()).execute()
        with database.read() as session:
            trained = get_job(session, job.id)
            (listed,) = list_checkpoints(session, limit=2)
            rows = (get_dataset(session, trained.dataset_id), trained, find_checkpoint(session, listed.id))
            return Template(*(columns_of(row) for row in rows))


def columns_of(row: Any) -> Row:
    """A row as the database takes it."""
    values = {column.name: getattr(row, column.name) for column in row.__table__.columns}
    return {name: _spell(value) for name, value in values.items()}


def _spell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    return json.dumps(value) if isinstance(value, dict | list) else value
