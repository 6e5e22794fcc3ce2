"""Fills an MLflow store in bulk; run by an interpreter that has mlflow: `python registry_mlflow.py URI RUNS POINTS SEED`.

The tables are made by MLflow itself; the rows go straight into them, as ours do. A run gets the parameters, tags and
last metrics by which checkpoints are listed, and its points under the same twelve names.
"""

import random
import sys
import uuid

from mlflow.store.db.base_sql_model import Base
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Table, insert
from sqlalchemy.engine import Engine

SERIES = (*(f"series_{n}" for n in range(11)), "test.sharpe")
BATCH = 50_000
START_MILLISECONDS = 1_793_491_200_000


def main() -> None:
    uri, runs, points, seed = sys.argv[1], *map(int, sys.argv[2:5])
    store = SqlAlchemyStore(uri, "file:///nowhere")
    experiment = store.create_experiment("full")
    chance = random.Random(seed)
    ids = [uuid.UUID(int=chance.getrandbits(128)).hex for _ in range(runs)]
    steps = max(1, points // (runs * len(SERIES)))
    rows = {
        "runs": (_run(row_id, n, experiment) for n, row_id in enumerate(ids)),
        "params": (
            {"run_uuid": row_id, "key": key, "value": value}
            for row_id in ids
            for key, value in (
                ("hidden_dims", f"512,256,{8 * chance.randint(1, 40)}"),
                ("obs_dim", str(53 * chance.randint(1, 100))),
            )
        ),
        "tags": (
            {"run_uuid": row_id, "key": key, "value": value}
            for row_id in ids
            for key, value in (
                ("label", f"tag-{chance.randint(0, 59)}"),
                ("producer", chance.choice(("caliper", "sb3"))),
            )
        ),
        "latest_metrics": (_point(row_id, name, steps, chance) for row_id in ids for name in SERIES),
        "metrics": (
            _point(row_id, name, step, chance)
            for row_id in ids
            for name in SERIES
            for step in range(1, steps + 1)
        ),
    }
    for name, each in rows.items():
        _write(store.engine, name, each)
    print(experiment, ids[len(ids) // 2], steps * len(SERIES) * runs)


def _run(row_id: str, number: int, experiment: str) -> dict[str, object]:
    at = START_MILLISECONDS + 15_000 * number
    return {
        "run_uuid": row_id,
        "name": f"trial {number}",
        "source_type": "LOCAL",
        "user_id": "u",
        "status": "FINISHED",
        "start_time": at,
        "end_time": at + 1_000,
        "lifecycle_stage": "active",
        "artifact_uri": f"file:///nowhere/{row_id}",
        "experiment_id": int(experiment),
    }


def _point(row_id: str, name: str, step: int, chance: random.Random) -> dict[str, object]:
    at = START_MILLISECONDS + step
    value = chance.gauss(0, 1)
    return {"run_uuid": row_id, "key": name, "value": value, "timestamp": at, "step": step, "is_nan": False}


def _write(engine: Engine, name: str, rows: object) -> None:
    table: Table = Base.metadata.tables[name]
    batch: list[object] = []
    with engine.begin() as connection:
        for row in rows:  # type: ignore[attr-defined]
            batch.append(row)
            if len(batch) == BATCH:
                connection.execute(insert(table), batch)
                batch = []
        if batch:
            connection.execute(insert(table), batch)


if __name__ == "__main__":
    main()
