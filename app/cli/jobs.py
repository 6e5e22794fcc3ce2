"""`caliper jobs …`: list, show, watch, report, cancel, resume."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from app.cli import terminal
from app.cli.job_report import draw_report
from app.cli.options import SERVICE, AsJson, Limit, Url, connect
from app.cli.result import draw_jobs
from app.cli.train import show_job, watch_job

app = typer.Typer(help="Training jobs: list, show, watch, report, cancel, resume.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(help="Id of the job.", show_default=False)]
State = Annotated[
    str | None, typer.Option(help="Only jobs in this state: queued, running, succeeded, failed, cancelled.")
]


@app.command("list")
def list_jobs(*, state: State = None, limit: Limit = 20, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Show jobs, the newest first."""
    with connect(url) as client:
        jobs = list(islice(client.jobs(**({"state": state} if state else {})), limit))
    if as_json:
        terminal.print_json(jobs)
    elif jobs:
        terminal.show(draw_jobs(jobs))
    else:
        terminal.say("no jobs; `caliper train` submits one")


@app.command("show")
def show(job: JobId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Show one job: how it stands, why it is configured so, what it reached."""
    with connect(url) as client:
        show_job(client.job(job), as_json=as_json)


@app.command("watch")
def watch(job: JobId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Watch a job until it ends; Ctrl-C stops watching, not the job."""
    with connect(url) as client:
        watch_job(client, job, as_json=as_json)


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
    """Show how a finished job's policy was judged: verdict, figures beside baselines, stress, folds."""
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


@app.command("cancel")
def cancel(job: JobId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Stop a job; a running one writes a last checkpoint first."""
    with connect(url) as client:
        answer = client.cancel(job)
    if as_json:
        terminal.print_json(answer)
    else:
        asked = answer["state"] != "cancelled"
        terminal.say(f"{job}: asked to checkpoint and stop" if asked else f"{job}: cancelled")


@app.command("resume")
def resume(job: JobId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled job again, from its last checkpoint."""
    with connect(url) as client:
        answer = client.resume(job)
    if as_json:
        terminal.print_json(answer)
    else:
        terminal.say(f"{job}: {answer['state']}; watch it:  caliper jobs watch {job}")
