"""`caliper jobs …`: list, show, watch, log, report, export, cancel, resume."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from app.cli import terminal
from app.cli.completion import complete_datasets, complete_states
from app.cli.filters import (
    Metric,
    MetricMax,
    MetricMin,
    OnlyHidden,
    OnlyObsDim,
    PartOfName,
    join_dims,
)
from app.cli.group import CaliperGroup
from app.cli.job_report import draw_report
from app.cli.options import SERVICE, AsJson, JobId, Limit, Url, connect, url_flag
from app.cli.result import draw_jobs
from app.cli.tracking import (
    EXPERIMENT,
    Experiment,
    MlflowUri,
    TensorBoardFolder,
    Tracking,
    export_job_command,
)
from app.cli.train import show_job, watch_job

app = typer.Typer(
    cls=CaliperGroup,
    help="Training jobs: list, show, watch, log, report, export, cancel, resume.",
    no_args_is_help=True,
)

State = Annotated[
    str | None,
    typer.Option(
        help="Only jobs in this state: queued, running, succeeded, failed, cancelled.",
        autocompletion=complete_states,
    ),
]
OnDataset = Annotated[
    str | None,
    typer.Option("--dataset", help="Only jobs on this dataset.", autocompletion=complete_datasets),
]


@app.command("list")
def list_jobs(  # noqa: PLR0913 - the options of a command
    *,
    state: State = None,
    dataset: OnDataset = None,
    name: PartOfName = None,
    tier: Annotated[str | None, typer.Option(help="Only jobs of this GPU tier.")] = None,
    priority: Annotated[int | None, typer.Option(help="Only jobs of this priority.")] = None,
    hidden: OnlyHidden = None,
    obs_dim: OnlyObsDim = None,
    metric: Metric = None,
    metric_min: MetricMin = None,
    metric_max: MetricMax = None,
    limit: Limit = 20,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Show jobs that match all filters, the newest first.

    Examples:
      caliper jobs list --state running
      caliper jobs list --hidden 512,256,128 --metric test.sharpe --metric-min 1
      caliper jobs list --limit 500 --json
    """
    filters = {
        "state": state,
        "dataset": dataset,
        "name": name,
        "tier": tier,
        "priority": priority,
        "hidden_dims": join_dims(hidden),
        "obs_dim": obs_dim,
        "metric": metric,
        "metric_min": metric_min,
        "metric_max": metric_max,
    }
    with connect(url) as client:
        jobs = list(islice(client.jobs(**filters), limit))
    if as_json:
        terminal.print_json(jobs)
    elif jobs:
        terminal.show(draw_jobs(jobs))
    else:
        asked = any(value is not None for value in filters.values())
        terminal.say("no job matches" if asked else "no jobs; `caliper train` submits one")


@app.command("show")
def show(job: JobId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Show one job: how it stands, why it is configured so, what it reached.

    Example:
      caliper jobs show job_01k…
    """
    with connect(url) as client:
        show_job(client.job(job), as_json=as_json)


@app.command("watch")
def watch(
    job: JobId,
    *,
    tensorboard: TensorBoardFolder = None,
    mlflow: MlflowUri = None,
    experiment: Experiment = EXPERIMENT,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Watch a job until it ends; Ctrl-C stops watching, not the job.

    A broken connection is opened again where it was. With --json the ended job stands on stdout.

    Examples:
      caliper jobs watch job_01k…
      caliper jobs watch job_01k… --tensorboard runs

    Exit codes: 0 the job succeeded · 1 it failed or was cancelled · 2 wrong usage · 3 the service does not answer,
    the job may go on · 130 Ctrl-C, the job goes on.
    """
    tracking = Tracking(tensorboard, mlflow, experiment)
    with connect(url) as client:
        watch_job(client, job, tracking, as_json=as_json)


@app.command("log")
def log(job: JobId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Print what a job's attempts have said so far.

    With --json: an object with the job's id and the log's lines.

    Example:
      caliper jobs log job_01k… | tail
    """
    with connect(url) as client:
        text = client.log(job)
    if as_json:
        terminal.print_json({"id": job, "lines": text.splitlines()})
    else:
        terminal.write(text)


@app.command("report")
def report(
    job: JobId,
    *,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write its picture.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The dataset that --png shows, where the job has several.")
    ] = None,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Show how a finished job's policy was judged: verdict, figures beside baselines, stress, folds.

    Examples:
      caliper jobs report job_01k…
      caliper jobs report job_01k… --html report.html --png report.png
    """
    with connect(url) as client:
        answer = client.evaluation(job)
        if html is not None:
            html.write_text(client.evaluation_page(job), encoding="utf-8")
        if png is not None:
            png.write_bytes(client.evaluation_picture(job, dataset))
    if as_json:
        terminal.print_json(answer)
    else:
        terminal.show(draw_report(answer))
    for file in (html, png):
        if file is not None:
            terminal.say(f"written: {file}")


app.command("export")(export_job_command)


@app.command("cancel")
def cancel(job: JobId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Stop a job; a running one writes a last checkpoint first, from which it may be resumed.

    Example:
      caliper jobs cancel job_01k…
    """
    with connect(url) as client:
        answer = client.cancel(job)
    if as_json:
        terminal.print_json(answer)
    else:
        asked = answer["state"] != "cancelled"
        terminal.say(f"{job}: asked to checkpoint and stop" if asked else f"{job}: cancelled")


@app.command("resume")
def resume(job: JobId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled job again, from its last checkpoint.

    Example:
      caliper jobs resume job_01k…
    """
    with connect(url) as client:
        answer = client.resume(job)
    if as_json:
        terminal.print_json(answer)
    else:
        terminal.say(f"{job}: {answer['state']}; watch it:  caliper jobs watch {job}{url_flag(url)}")
