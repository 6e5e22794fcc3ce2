"""What a full registry is asked, over HTTP: the real API as its own process, and an MLflow server."""

import base64
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import create_engine, text

from app.settings import Settings
from benchmarks.api_process import free_port, running_api
from benchmarks.registry_rows import OBS_DIMS, PRODUCERS, SHAPES, TAGS, TIERS, Size


@dataclass
class Answer:
    """How long an answer took."""

    wall: float
    """Seconds until it had wholly arrived."""
    processor: float
    """Processor seconds of the service and its database: what the machine's other work disturbs less."""


Answers = dict[str, list[Answer]]
"""All answers, by query."""
Question = Callable[[], tuple[str, str, dict[str, Any]]]
"""Method, path and further arguments of a request, drawn anew at each call."""

SAMPLE = 500
WARM_UPS = 5
MLFLOW_FILL = Path(__file__).with_name("registry_mlflow.py")


def percentile(seconds: list[float], share: int) -> float:
    """The value that `share` per cent of the answers do not pass (nearest rank)."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * share // 100) - 1)]


def ask_caliper(url: str, folder: Path, size: Size, requests: int, database: int | None = None) -> Answers:
    """All queries at the API on this database, one process; `database` is the pid of the database's server."""
    folder.mkdir(parents=True)
    settings = Settings(data_dir=folder, database_url=url, port=free_port())
    with running_api(settings, folder / "api.log") as api, _client(api.url) as client:
        servers = [api.pid] if database is None else [api.pid, database]
        return _ask(client, servers, caliper_questions(url, random.Random(size.seed)), requests)


def caliper_questions(url: str, chance: random.Random) -> dict[str, Question]:
    """Each query by its name."""
    jobs, points = _sample(url, "SELECT id FROM jobs"), _sample(url, "SELECT DISTINCT job_id FROM metrics")
    live = _sample(url, "SELECT id FROM checkpoints WHERE deleted_at IS NULL")
    aliases = _sample(url, "SELECT alias FROM aliases")

    def get(path: str, **values: Callable[[], Any]) -> Question:
        return lambda: ("GET", path, {"params": {name: draw() for name, draw in values.items()}})

    def at(path: str, ids: list[str]) -> Question:
        return lambda: ("GET", path.format(*chance.sample(ids, 2)), {})

    def one(values: Any) -> Callable[[], Any]:
        return lambda: chance.choice(values)

    def always(value: Any) -> Callable[[], Any]:
        return lambda: value

    return {
        "jobs, first page": get("/jobs"),
        "jobs, deep page": get("/jobs", cursor=one(jobs)),
        "jobs by state": get("/jobs", state=one(("succeeded", "failed", "queued", "running"))),
        "jobs by dataset": get("/jobs", dataset=lambda: f"bars-{chance.randrange(200)}"),
        "jobs by dataset and state, deep": get(
            "/jobs", dataset=lambda: f"bars-{chance.randrange(200)}", state=always("failed"), cursor=one(jobs)
        ),
        "jobs by hidden_dims": get("/jobs", hidden_dims=one(SHAPES)),
        "jobs by hidden_dims, deep": get("/jobs", hidden_dims=one(SHAPES), cursor=one(jobs)),
        "jobs by obs_dim": get("/jobs", obs_dim=one(OBS_DIMS)),
        "jobs by tier": get("/jobs", tier=one(TIERS)),
        "jobs by metric, half match": get(
            "/jobs", metric=always("test.sharpe"), metric_min=lambda: chance.uniform(-0.5, 0.5)
        ),
        "jobs by metric, few match": get(
            "/jobs", metric=always("test.sharpe"), metric_min=lambda: chance.uniform(3.0, 4.0)
        ),
        "jobs by metric and hidden_dims": get(
            "/jobs",
            metric=always("test.sharpe"),
            metric_min=lambda: chance.uniform(0.0, 2.0),
            hidden_dims=one(SHAPES),
        ),
        "jobs by part of name": get("/jobs", name=lambda: f"trial {chance.randrange(10_000)}"),
        "jobs by part of name and state": get(
            "/jobs", name=lambda: f"l {chance.randrange(1_000)}", state=one(("succeeded", "failed"))
        ),
        "jobs, three fields": get("/jobs", fields=always("id,name,state")),
        "job": at("/jobs/{0}", jobs),
        "job's metrics": at("/jobs/{0}/metrics", points),
        "job's metrics, spread over 200": get_spread(chance, points),
        "checkpoints, first page": get("/checkpoints"),
        "checkpoints, deep page": get("/checkpoints", cursor=one(live)),
        "checkpoints by hidden_dims": get("/checkpoints", hidden_dims=one(SHAPES)),
        "checkpoints by hidden_dims, deep": get("/checkpoints", hidden_dims=one(SHAPES), cursor=one(live)),
        "checkpoints by obs_dim": get("/checkpoints", obs_dim=one(OBS_DIMS)),
        "checkpoints by producer": get("/checkpoints", producer=one(PRODUCERS)),
        "checkpoints by job": get("/checkpoints", job=one(jobs)),
        "checkpoints by tag": get("/checkpoints", tag=lambda: f"tag-{chance.randrange(TAGS)}"),
        "checkpoints by tag and producer": get(
            "/checkpoints", tag=lambda: f"tag-{chance.randrange(TAGS)}", producer=one(PRODUCERS)
        ),
        "checkpoints by alias": get("/checkpoints", alias=one(aliases)),
        "checkpoints by metric, half match": get(
            "/checkpoints", metric=always("test.sharpe"), metric_min=lambda: chance.uniform(-0.5, 0.5)
        ),
        "checkpoints by metric, few match": get(
            "/checkpoints", metric=always("test.sharpe"), metric_min=lambda: chance.uniform(3.0, 4.0)
        ),
        "checkpoints by metric and tag": get(
            "/checkpoints",
            metric=always("test.sharpe"),
            metric_min=lambda: chance.uniform(0.0, 2.0),
            tag=lambda: f"tag-{chance.randrange(TAGS)}",
        ),
        "checkpoints by part of name": get("/checkpoints", name=lambda: f"policy {chance.randrange(10_000)}"),
        "checkpoint": at("/checkpoints/{0}", live),
        "checkpoint by alias": at("/checkpoints/{0}", aliases),
        "diff of two checkpoints": lambda: (
            "GET",
            "/checkpoints/diff",
            {"params": dict(zip(("left", "right"), chance.sample(live, 2), strict=True))},
        ),
    }


def get_spread(chance: random.Random, ids: list[str]) -> Question:
    """A job's curves as the page draws them."""
    return lambda: ("GET", f"/jobs/{chance.choice(ids)}/metrics", {"params": {"spread": 200}})


def fill_mlflow(python: str, folder: Path, runs: int, points: int) -> list[str]:
    """A full MLflow store in the folder: its experiment's and one run's id, and how many points were written."""
    fill = [python, str(MLFLOW_FILL), f"sqlite:///{folder}/mlflow.db", str(runs), str(points), "1"]
    return subprocess.run(fill, check=True, capture_output=True, text=True, cwd=folder).stdout.split()[-3:]


def ask_mlflow(python: str, filled: tuple[str, str, str, int], folder: Path, requests: int) -> Answers:
    """The same queries at an MLflow server, as far as it has them."""
    uri, experiment, run_id, runs = filled
    command: tuple[str, ...] = (
        python,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--workers",
        "1",
    )
    command += ("--default-artifact-root", f"{folder}/artifacts")
    with serving(command, dict(os.environ), "/health") as (client, service):
        questions = mlflow_questions(experiment, run_id, runs, random.Random(1))
        return _ask(client, [service], questions, requests)


def mlflow_questions(experiment: str, run_id: str, runs: int, chance: random.Random) -> dict[str, Question]:
    """MLflow's own ways to ask what ours are asked."""
    search = "/api/2.0/mlflow/runs/search"

    def find(**extra: Callable[[], Any]) -> Question:
        fixed = {
            "experiment_ids": [experiment],
            "max_results": 50,
            "order_by": ["attributes.start_time DESC"],
        }
        return lambda: ("POST", search, {"json": {**fixed, **{name: draw() for name, draw in extra.items()}}})

    def token() -> str:
        return base64.b64encode(json.dumps({"offset": chance.randrange(runs - 50)}).encode()).decode()

    def history() -> tuple[str, str, dict[str, Any]]:
        asked = {"run_id": run_id, "metric_key": "test.sharpe"}
        return "GET", "/api/2.0/mlflow/metrics/get-history", {"params": asked}

    return {
        "jobs, first page": find(),
        "jobs, deep page": find(page_token=token),
        "jobs by state": find(filter=lambda: "attributes.status = 'FINISHED'"),
        "job": lambda: ("GET", "/api/2.0/mlflow/runs/get", {"params": {"run_id": run_id}}),
        "job's metrics": history,
        "checkpoints by hidden_dims": find(
            filter=lambda: f"params.hidden_dims = '512,256,{8 * chance.randint(1, 40)}'"
        ),
        "checkpoints by obs_dim": find(filter=lambda: f"params.obs_dim = '{53 * chance.randint(1, 100)}'"),
        "checkpoints by producer": find(filter=lambda: "tags.producer = 'caliper'"),
        "checkpoints by tag": find(filter=lambda: f"tags.label = 'tag-{chance.randrange(60)}'"),
        "checkpoints by metric, half match": find(
            filter=lambda: f"metrics.`test.sharpe` > {chance.uniform(-0.5, 0.5)}"
        ),
        "checkpoints by metric, few match": find(
            filter=lambda: f"metrics.`test.sharpe` > {chance.uniform(3.0, 4.0)}"
        ),
        "checkpoints by metric and tag": find(
            filter=lambda: f"metrics.`test.sharpe` > 1.0 and tags.label = 'tag-{chance.randrange(60)}'"
        ),
    }


@contextmanager
def serving(
    command: tuple[str, ...], environment: dict[str, str], path: str
) -> Iterator[tuple[httpx.Client, int]]:
    """The service as a child process: a client on one connection, and its pid."""
    port = free_port()
    given = [*command, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(given, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with _client(f"http://127.0.0.1:{port}") as client:
            _await(client, path, process)
            yield client, process.pid
    finally:
        process.terminate()
        process.wait(60)


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=120, trust_env=False)


def _await(client: httpx.Client, path: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            if client.get(path).is_success:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("a service did not start")
        time.sleep(0.1)


def _ask(client: httpx.Client, servers: list[int], questions: dict[str, Question], requests: int) -> Answers:
    """All queries in turn, round after round, so that what else the machine does hits all alike."""
    answers: Answers = {name: [] for name in questions}
    for turn in range(requests + WARM_UPS):
        tasks = _tasks(servers)
        for name, question in questions.items():
            method, path, given = question()
            before, started = _spent(tasks), time.perf_counter()
            answer = client.request(method, path, **given)
            took = Answer(time.perf_counter() - started, _spent(tasks) - before)
            if not answer.is_success:
                sys.exit(f"{name}: {answer.status_code} {answer.text[:300]}")
            if turn >= WARM_UPS:
                answers[name].append(took)
    return answers


def _tasks(servers: list[int]) -> list[Path]:
    """The threads of these processes and of all that they started."""
    processes = [psutil.Process(pid) for pid in servers]
    pids = [each.pid for process in processes for each in (process, *process.children(recursive=True))]
    return [task / "schedstat" for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]


def _spent(tasks: list[Path]) -> float:
    """Processor seconds of these threads so far."""
    nanoseconds = 0
    for task in tasks:
        with suppress(OSError):  # a thread that has ended
            nanoseconds += int(task.read_text().split()[0])
    return nanoseconds / 1e9


def _sample(url: str, query: str) -> list[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [row[0] for row in connection.execute(text(query))]
    engine.dispose()
    return random.Random(1).sample(found, min(SAMPLE, len(found)))
