"""The rows of a full registry: seeded, with the documents of one job that was really submitted, trained and read back.

Shapes, datasets, tags and producers are drawn by Zipf's law: a few are on most rows and most on a few. Points a job are
log-normal: most jobs are short trials, a few have thousands of updates. A sixth more checkpoints than asked for are deleted
ones, as training runs leave them behind.
"""

import json
import math
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from sqlalchemy import Engine, Table

from app.registry.measured import measured_numbers
from app.registry.tables import Base
from benchmarks.registry_template import Row, Template

START = datetime(2026, 11, 1, tzinfo=UTC)
"""When the first job was submitted; recent, so that retention leaves all points alone."""
SERIES = (
    "steps_per_second",
    "episode_return",
    "episode_length",
    "policy_loss",
    "value_loss",
    "entropy",
    "approx_kl",
)
SERIES += ("clipfrac", "explained_variance", "learning_rate", "grad_norm", "memory_bytes")
SHAPES = tuple(f"{1 << (12 - a)},{1 << (11 - a)},{8 * b}" for a in range(5) for b in range(1, 9))
OBS_DIMS = (5300, 2650, 1060, 530, 10600, 265, 106, 53)
PRODUCERS = ("caliper", "stable-baselines3", "cleanrl", "rsl_rl", "skrl", "rllib", "rl_games", "pufferlib")
STATES = {"succeeded": 0.82, "failed": 0.08, "cancelled": 0.0994, "queued": 0.0005, "running": 0.0001}
TIERS = ("cpu", "entry", "mid", "high", "datacenter")
DATASETS, TAGS, ALIASES = 200, 60, 500
BATCH = 5_000


@dataclass(frozen=True)
class Size:
    """How full the registry is."""

    jobs: int
    points: int
    checkpoints: int
    seed: int = 1


def fill(engine: Engine, template: Template, size: Size) -> dict[str, int]:
    """Write all rows in bulk; how many each table got. Tables come before those that name their rows."""
    written: dict[str, int] = {}
    maker = Maker(template, size)
    for name, rows in maker.tables():
        written[name] = _write(engine, Base.metadata.tables[name], rows)
    return written


class Maker:
    """Rows of every table, the same for the same size and seed."""

    def __init__(self, template: Template, size: Size) -> None:
        self.template = template
        self.size = size
        self.random = random.Random(size.seed)
        self.dataset_ids = [_make_id("dataset", n, "0" * 10) for n in range(DATASETS)]
        self.job_ids = [_make_id("job", n, self._hex()) for n in range(size.jobs)]
        self.job_places = [self._zipf(DATASETS) for _ in self.job_ids]
        self.checkpoint_ids = [
            _make_id("checkpoint", n, self._hex()) for n in range(size.checkpoints + size.checkpoints // 6)
        ]
        self.numbers: list[tuple[str, str, float]] = []
        self.deleted: set[str] = set()
        self.succeeded: list[str] = []

    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Each table's name and rows."""
        yield "datasets", self._datasets()
        yield "jobs", self._jobs()
        yield "job_datasets", self._job_datasets()
        yield "job_metrics", self._job_metrics()
        yield "attempts", self._attempts()
        yield "events", self._events()
        yield "metrics", self._metrics()
        yield "checkpoints", self._checkpoints()
        yield (
            "checkpoint_metrics",
            ({"checkpoint_id": row_id, "name": name, "value": value} for row_id, name, value in self.numbers),
        )
        yield "tags", self._tags()
        yield "aliases", self._aliases()

    def _datasets(self) -> Iterator[Row]:
        for n, row_id in enumerate(self.dataset_ids):
            yield {**self.template.dataset, "id": row_id, "name": f"bars-{n}", "sha256": f"{n:064x}"}

    def _jobs(self) -> Iterator[Row]:
        states, weights = tuple(STATES), tuple(STATES.values())
        for n, row_id in enumerate(self.job_ids):
            state = self.random.choices(states, weights)[0]
            if state == "succeeded":
                self.succeeded.append(row_id)
            at, ended = _at(n), state in ("succeeded", "failed", "cancelled")
            yield {
                **self.template.job,
                "id": row_id,
                "name": f"bars-{self.job_places[n]} trial {n}",
                "dataset_id": self.dataset_ids[self.job_places[n]],
                "hidden_dims": SHAPES[self._zipf(len(SHAPES))],
                "obs_dim": OBS_DIMS[self._zipf(len(OBS_DIMS))],
                "tier": TIERS[self._zipf(len(TIERS))],
                "state": state,
                "created_at": at,
                "started_at": at,
                "ended_at": at if ended else None,
                "lease_expires_at": None,
                "result": self.template.job["result"] if state == "succeeded" else None,
            }

    def _job_datasets(self) -> Iterator[Row]:
        for n, row_id in enumerate(self.job_ids):
            places = {self.job_places[n]: None}
            if n % 10 == 0:
                places[self._zipf(DATASETS)] = None
            for position, place in enumerate(places):
                yield {"job_id": row_id, "position": position, "dataset_id": self.dataset_ids[place]}

    def _job_metrics(self) -> Iterator[Row]:
        chance = random.Random(self.size.seed + 1)
        for row_id in self.succeeded:
            for name, value in measured_numbers(measure(chance)).items():
                yield {"job_id": row_id, "name": name, "value": value}

    def _attempts(self) -> Iterator[Row]:
        for n, row_id in enumerate(self.job_ids):
            for number in range(1, 2 + (n % 12 == 0)):
                times = dict.fromkeys(("started_at", "heartbeat_at", "ended_at"), _at(n))
                facts = {
                    "worker": f"caliper@gpu-{n % 40}",
                    "resumed_from": None,
                    "outcome": "succeeded",
                    "reason": "",
                }
                yield {"job_id": row_id, "number": number, "fence": number, **facts, **times}

    def _events(self) -> Iterator[Row]:
        kinds = (("state", {"state": "queued"}), ("state", {"state": "running", "worker": "caliper@gpu-1"}))
        kinds += (
            ("log", {"message": "network built", "parameters": 345_828}),
            ("state", {"state": "succeeded"}),
        )
        texts = [(kind, json.dumps(data)) for kind, data in kinds]
        for n, row_id in enumerate(self.job_ids):
            for seq, (kind, data) in enumerate(texts, start=1):
                yield {
                    "job_id": row_id,
                    "seq": seq,
                    "kind": kind,
                    "attempt": 1,
                    "data": data,
                    "created_at": _at(n),
                }

    def _metrics(self) -> Iterator[Row]:
        weights = [self.random.lognormvariate(0.0, 1.5) for _ in self.job_ids]
        scale = self.size.points / len(SERIES) / sum(weights)
        left = self.size.points
        for row_id, weight in zip(self.job_ids, weights, strict=True):
            steps = min(max(1, round(weight * scale)), max(0, left // len(SERIES)))
            left -= steps * len(SERIES)
            for name in sorted(SERIES):
                for step in range(1, steps + 1):
                    yield {"job_id": row_id, "name": name, "step": step * 8192, "value": self.random.random()}
        for n in range(left):  # what rounding left over: one long run
            yield {"job_id": self.job_ids[-1], "name": "rest", "step": n, "value": 0.0}

    def _checkpoints(self) -> Iterator[Row]:
        before: dict[str, str] = {}
        for n, row_id in enumerate(self.checkpoint_ids):
            deleted, uploaded = n % 7 == 3, n % 5 == 4
            job = min(len(self.job_ids) - 1, n * len(self.job_ids) // len(self.checkpoint_ids))
            job_id = None if uploaded else self.job_ids[job]
            metrics = measure(self.random)
            if deleted:
                self.deleted.add(row_id)
            else:
                numbers = measured_numbers(metrics).items()
                self.numbers += [(row_id, name, value) for name, value in numbers]
            yield {
                **self.template.checkpoint,
                "id": row_id,
                "name": f"policy {n}",
                "kind": "uploaded" if uploaded else "periodic" if n % 3 else "final",
                "sha256": f"{n:064x}",
                "producer": PRODUCERS[self._zipf(len(PRODUCERS))] if uploaded else PRODUCERS[0],
                "hidden_dims": SHAPES[self._zipf(len(SHAPES))],
                "obs_dim": OBS_DIMS[self._zipf(len(OBS_DIMS))],
                "metrics": json.dumps(metrics),
                "job_id": job_id,
                "dataset_id": None if uploaded else self.dataset_ids[self.job_places[job]],
                "parent_id": None if uploaded or n % 20 == 0 else before.get("id"),
                "created_at": _at(n),
                "deleted_at": _at(n) if deleted else None,
            }
            before["id"] = row_id

    def _tags(self) -> Iterator[Row]:
        for row_id in self.checkpoint_ids:
            if self.random.random() < 0.3:
                for tag in {self._zipf(TAGS) for _ in range(self.random.randint(1, 3))}:
                    yield {"checkpoint_id": row_id, "tag": f"tag-{tag}"}

    def _aliases(self) -> Iterator[Row]:
        live = [each for each in self.checkpoint_ids if each not in self.deleted]
        for n, row_id in enumerate(self.random.sample(live, min(ALIASES, len(live)))):
            yield {"alias": f"alias-{n}", "checkpoint_id": row_id}

    def _zipf(self, count: int) -> int:
        """A place from 0 to count - 1, the probability of each about as 1 / (place + 1)."""
        return min(count - 1, int(math.exp(self.random.random() * math.log(count + 1)) - 1))

    def _hex(self) -> str:
        return f"{self.random.getrandbits(40):010x}"


def measure(chance: random.Random) -> dict[str, dict[str, float]]:
    """What was measured of a policy, on each span."""
    spans = ("train", "validation", "test")
    return {span: {"sharpe": chance.gauss(0, 1), "return": chance.gauss(0, 0.2)} for span in spans}


def _write(engine: Engine, table: Table, rows: Iterator[Row]) -> int:
    """All columns that the first row has, by COPY where there is one; rows are known to name rows that are there."""
    first = next(rows, None)
    if first is None:
        return 0
    names, rows = list(first), chain([first], rows)
    listed = ", ".join(names)
    count = 0
    connection: Any = engine.raw_connection()
    with closing(connection):
        cursor = connection.cursor()
        if engine.dialect.name == "postgresql":
            cursor.execute("SET timezone TO 'UTC'")
            cursor.execute("SET LOCAL session_replication_role TO replica")  # no look-up of each foreign key
            with cursor.copy(f"COPY {table.name} ({listed}) FROM STDIN") as copy:
                for count, row in enumerate(rows, start=1):  # noqa: B007
                    copy.write_row([row[name] for name in names])
        else:
            cursor.execute("PRAGMA foreign_keys = OFF")
            cursor.execute("BEGIN")
            places = ", ".join("?" * len(names))
            cursor.executemany(f"INSERT INTO {table.name} ({listed}) VALUES ({places})", _tuples(rows, names))
            count = cursor.rowcount
        connection.commit()
        if engine.dialect.name == "sqlite":
            cursor.execute("PRAGMA foreign_keys = ON")
    return count


def _tuples(rows: Iterator[Row], names: list[str]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield tuple(row[name] for name in names)


def _make_id(prefix: str, number: int, tail: str) -> str:
    return f"{prefix}_{int(START.timestamp() * 1_000) + number * 15_000:012x}{tail}"


def _at(number: int) -> str:
    return (START + timedelta(seconds=15 * number)).strftime("%Y-%m-%d %H:%M:%S.%f")
