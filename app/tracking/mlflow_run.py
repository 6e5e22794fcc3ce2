"""A job as an MLflow run: found again by the tag `caliper.job_id`, and brought up to date."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.addresses import mask_password
from app.errors import InvalidInput, Unavailable
from app.tracking.facts import find_commit, list_params, list_scores, list_tags
from app.tracking.tracker import Ending, Json, Point

# Its telemetry tells a vendor of each run; whoever wants that sets the variable. A server that is down is said soon.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

try:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
except ImportError as error:
    raise InvalidInput(
        f"MLflow's library is not installed ({error})",
        hint="pip install 'mlflow-skinny>=3.17' (the extra `mlflow`)",
    ) from error

STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
"""MLflow's words for a job that ended."""

MOST_METRICS, MOST_PARAMS, MOST_VALUE = 1000, 100, 5000
"""What MLflow takes in one batch, and of one parameter's text."""

Known = set[tuple[str, int, int, float]]


class MlflowRun:
    """Keeps a job as a run of an experiment on a tracking server, or in a local store, that `uri` names.

    MLflow cannot take a point back: of a job that was resumed, points of the lost attempt stay in the history.
    Raises Unavailable where the server does not answer or refuses.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri, self.experiment = uri, experiment
        self._run_id = ""
        self._known: Known = set()
        self._waiting: list[Any] = []
        with self._speaking():
            self._client = MlflowClient(tracking_uri=uri)

    @property
    def place(self) -> str:
        """The tracking server and the experiment."""
        return f"MLflow's {mask_password(self.uri)}, experiment {self.experiment}"

    def begin(self, job: Json) -> None:
        """Find the job's run by its tag, or create it; write its parameters and tags."""
        with self._speaking():
            run = self._find(job["id"]) or self._create(job)
            self._run_id = run.info.run_id
            known = run.data.params
            params = list_params(job["config"])
            new = [Param(name, value[:MOST_VALUE]) for name, value in params.items() if name not in known]
            for start in range(0, len(new), MOST_PARAMS):
                self._client.log_batch(self._run_id, params=new[start : start + MOST_PARAMS])
            self._write_tags(job)
            self._known = {
                (name, each.step, each.timestamp, each.value)
                for name in run.data.metrics
                for each in self._client.get_metric_history(self._run_id, name)
            }

    def measure(self, point: Point) -> None:
        """Keep a point's values as metrics `train/…`, sent when a batch is full."""
        self._take({f"train/{name}": value for name, value in point.values.items()}, point.at, point.step)
        with self._speaking():
            self._send(least=MOST_METRICS)

    def end(self, ending: Ending) -> None:
        """Send the rest, the evaluation's figures and files, and say how the job ended."""
        job = ending.job
        if ending.report is not None:
            self._take(list_scores(ending.report), ending.at, ending.step)
        with self._speaking():
            self._send(least=1)
            self._write_tags(job)
            self._write_files(ending)
            if job["state"] in STATUS:
                ended = int(ending.at.timestamp() * 1000)
                self._client.set_terminated(self._run_id, STATUS[job["state"]], end_time=ended)

    def close(self) -> None:
        """Send what waits."""
        with self._speaking():
            self._send(least=1)

    def _write_files(self, ending: Ending) -> None:
        """The job and its evaluation as artifacts; a later export replaces them."""
        page, picture, report = ending.page, ending.picture, ending.report
        files = {
            "job.json": _as_json(ending.job),
            "evaluation.json": report and _as_json(report),
            "evaluation.html": page and page.encode(),
            "evaluation.png": picture,
        }
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                if content:
                    Path(folder, name).write_bytes(content)
            self._client.log_artifacts(self._run_id, folder)

    def _find(self, job_id: str) -> Any:
        experiment = self._client.get_experiment_by_name(self.experiment)
        if experiment is None:
            return None
        wanted = f"tags.`caliper.job_id` = '{job_id}'"
        found = self._client.search_runs([experiment.experiment_id], wanted, max_results=1)
        return found[0] if found else None

    def _create(self, job: Json) -> Any:
        experiment = self._client.get_experiment_by_name(self.experiment)
        number = experiment.experiment_id if experiment else self._client.create_experiment(self.experiment)
        began = datetime.fromisoformat(job["started_at"] or job["created_at"])
        tags = {"caliper.job_id": job["id"]}
        started = int(began.timestamp() * 1000)
        return self._client.create_run(number, start_time=started, run_name=job["name"], tags=tags)

    def _write_tags(self, job: Json) -> None:
        tags = {**list_tags(job), "mlflow.note.content": f"Caliper's job {job['id']}"}
        if commit := find_commit(job):
            tags["mlflow.source.git.commit"] = (
                commit  # its own name for it: shown as the run's source version
            )
        self._client.log_batch(self._run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _take(self, values: dict[str, float], at: datetime, step: int) -> None:
        milliseconds = int(at.timestamp() * 1000)
        for name, value in values.items():
            if (name, step, milliseconds, value) not in self._known:
                self._waiting.append(Metric(name, value, milliseconds, step))

    def _send(self, least: int) -> None:
        while len(self._waiting) >= least:
            batch, self._waiting = self._waiting[:MOST_METRICS], self._waiting[MOST_METRICS:]
            self._client.log_batch(self._run_id, metrics=batch)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            raise Unavailable(
                f"{self.place}: {str(error).splitlines()[0]}",
                hint="an MLflow server's http://…, or sqlite:///mlflow.db; what is missing is sent by the next export",
                pointer="--mlflow",
            ) from error


def _as_json(value: Json) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()
