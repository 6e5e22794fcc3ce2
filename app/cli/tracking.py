"""`caliper jobs export`, and the options with which watching a job writes the same as it goes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.cli import terminal
from app.cli.options import SERVICE, AsJson, JobId, Url, connect
from app.errors import CaliperError, InvalidInput
from app.tracking import Tracker, snapshot_job

TensorBoardFolder = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard", metavar="DIR", help="Write a TensorBoard run below DIR (extra `tensorboard`)."
    ),
]
MlflowUri = Annotated[
    str | None,
    typer.Option(
        "--mlflow",
        metavar="URI",
        help="Keep an MLflow run at URI: http://… or sqlite:///… (extra `mlflow`).",
    ),
]
Experiment = Annotated[str, typer.Option(help="The experiment of --mlflow.")]

EXPERIMENT = "caliper"
"""The default of `--experiment`."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Which trackers a job is kept in."""

    tensorboard: Path | None = None
    mlflow: str | None = None
    experiment: str = EXPERIMENT

    def open(self) -> list[Tracker]:
        """A tracker each, for one job. Raises InvalidInput where its library is not installed."""
        found: list[Tracker] = []
        if self.tensorboard is not None:
            from app.tracking.tensorboard_run import TensorBoardRun  # noqa: PLC0415 - an optional extra

            found.append(TensorBoardRun(self.tensorboard))
        if self.mlflow is not None:
            from app.tracking.mlflow_run import MlflowRun  # noqa: PLC0415 - an optional extra, slow to load

            found.append(MlflowRun(self.mlflow, self.experiment))
        return found


NOT_TRACKED = Tracking()


def export_job_command(
    job: JobId,
    *,
    tensorboard: TensorBoardFolder = None,
    mlflow: MlflowUri = None,
    experiment: Experiment = EXPERIMENT,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Keep a job as a TensorBoard run or an MLflow run: curves, configuration, evaluation.

    The same job again is brought up to date, never doubled; one that still runs is kept as it stands.

    Examples:
      caliper jobs export job_01k… --tensorboard runs
      caliper jobs export job_01k… --mlflow http://127.0.0.1:5000 --experiment googl
    """
    trackers = Tracking(tensorboard, mlflow, experiment).open()
    if not trackers:
        hint = "--tensorboard DIR, --mlflow URI, or both"
        raise InvalidInput("no place to export to", hint=hint, pointer="--tensorboard")
    with connect(url) as client:
        kept = snapshot_job(client, job, trackers)
    places = [tracker.place for tracker in trackers]
    if as_json:
        terminal.print_json({"id": kept["id"], "state": kept["state"], "places": places})
    for place in places:
        terminal.say(f"{kept['id']} ({kept['state']}) is in {place}")


def say_untracked(tracker: Tracker, error: CaliperError | OSError) -> None:
    """Say that a tracker was left out while the watching goes on."""
    told = error.detail if isinstance(error, CaliperError) else str(error)
    terminal.say(f"no longer written to {tracker.place}: {terminal.plain(told)}")
    terminal.say("  `caliper jobs export` brings it up to date later")
