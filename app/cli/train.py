"""`caliper train`: submit a job and watch it."""

import json
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from app.cli import figures, terminal
from app.cli.completion import complete_checkpoints, complete_datasets
from app.cli.group import EXIT_ERROR, EXIT_INTERRUPTED
from app.cli.job_report import draw_report
from app.cli.options import SERVICE, AsJson, Url, connect, parse_dims, url_flag
from app.cli.progress import follow_events
from app.cli.result import draw_job, draw_jobs
from app.cli.tracking import (
    EXPERIMENT,
    NOT_TRACKED,
    Experiment,
    MlflowUri,
    TensorBoardFolder,
    Tracking,
    say_untracked,
)
from app.client import Client, ServiceError, ServiceUnreachable
from app.client.answers import JobDetail
from app.errors import InvalidInput
from app.jobs.worker_command import worker_command
from app.tracking import tracked

COSTS_EXAMPLE = "fee_bps=5,half_spread_bps=1,slippage=0.02,borrow_bps_per_year=300"


Datasets = Annotated[
    list[str],
    typer.Option(
        help="Id or name of the dataset; repeat it to train on several.",
        show_default=False,
        autocompletion=complete_datasets,
    ),
]
Costs = Annotated[
    str, typer.Option(help="What trading costs you, all four, as in the example.", show_default=False)
]
UseCase = Annotated[str | None, typer.Option(help="quick, production, complex, limited_data or extended.")]
StartFrom = Annotated[
    str | None,
    typer.Option(
        "--from", help="Checkpoint whose weights to start from.", autocompletion=complete_checkpoints
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A PPO setting, such as learning_rate=1e-3; may be repeated."),
]
Folds = Annotated[int | None, typer.Option(min=1, help="Walk forward: one job for each of so many folds.")]


Hidden = Annotated[str | None, typer.Option(help="Widths of the trunk; else by tier or use case.")]
OnTier = Annotated[
    str | None, typer.Option(help="GPU tier; else the smallest with a live worker that holds the run.")
]
Priority = Annotated[
    int | None, typer.Option(min=-10, max=10, help="Higher is taken first; above 0 for admins.")
]
MaxHours = Annotated[
    float | None, typer.Option(help="Hours on a worker after which it checkpoints and ends, resumable.")
]
Steps = Annotated[int, typer.Option(help="Environment steps to train for.", show_default=False)]


def train_command(  # noqa: PLR0913 - the options of a command
    *,
    dataset: Datasets,
    timesteps: Steps,
    costs: Costs,
    hidden: Hidden = None,
    mode: Annotated[str | None, typer.Option(help="standard, quick or extended.")] = None,
    use_case: UseCase = None,
    tier: OnTier = None,
    priority: Priority = None,
    max_hours: MaxHours = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; else 1.")] = None,
    name: Annotated[str, typer.Option(help="A name to find the job by.", show_default=False)] = "",
    start_from: StartFrom = None,
    setting: Settings = None,
    folds: Folds = None,
    detach: Annotated[bool, typer.Option("--detach", help="Submit and return at once.")] = False,
    tensorboard: TensorBoardFolder = None,
    mlflow: MlflowUri = None,
    experiment: Experiment = EXPERIMENT,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    r"""Submit a training job and watch it until it ends.

    Ctrl-C stops watching; the job goes on, and the command that watches it again is shown. Costs have no default:
    state what trading costs you. With --json the ended job stands on stdout, its progress on stderr.

    Examples:
      caliper train --dataset googl --timesteps 200000 \
        --costs fee_bps=5,half_spread_bps=1,slippage=0.02,borrow_bps_per_year=300
      caliper train … --hidden 256,128,64 --set learning_rate=1e-3 --folds 5 --detach

    Exit codes: 0 the job succeeded, or was queued with --detach · 1 it was refused, failed or was cancelled ·
    2 wrong usage · 3 the service does not answer · 130 Ctrl-C, the job goes on.
    """
    chosen = {"name": name, "training_mode": mode, "use_case": use_case, "tier": tier, "seed": seed}
    limits = {"priority": priority, "max_hours": max_hours, "initial_checkpoint": start_from}
    spec = _stated(
        **({"dataset": dataset[0]} if len(dataset) == 1 else {"datasets": dataset}),
        **(chosen | limits),
        total_timesteps=timesteps,
        environment={"costs": parse_settings(costs.split(","), "--costs", COSTS_EXAMPLE)},
        hidden_dims=list(parse_dims(hidden)) if hidden else None,
        overrides=parse_settings(setting or [], "--set", "gamma=0.995"),
    )
    tracking = _open_tracking(Tracking(tensorboard, mlflow, experiment), detach=detach)
    with connect(url) as client:
        train = train_one if folds is None else partial(train_folds, folds=folds)
        train(client, spec, tracking=tracking, detach=detach, as_json=as_json)


def _stated(**wanted: Any) -> dict[str, Any]:
    """What was asked for, without what was left to the service."""
    return {key: value for key, value in wanted.items() if value not in (None, "", {})}


def _open_tracking(tracking: Tracking, *, detach: bool) -> Tracking:
    if tracking.open() and detach:
        hint = "`caliper jobs watch` takes --tensorboard and --mlflow too, `caliper jobs export` afterwards"
        raise InvalidInput("nobody watches a detached job", hint=hint, pointer="--detach")
    return tracking


def train_one(
    client: Client, spec: dict[str, Any], tracking: Tracking, *, detach: bool, as_json: bool
) -> None:
    """Submit a job, and watch it unless detached."""
    job = submit_spec(client, spec)
    if detach:
        show_job(job, as_json=as_json)
    else:
        watch_job(client, job["id"], tracking, as_json=as_json)


def submit_spec(client: Client, spec: dict[str, Any]) -> JobDetail:
    """Submit a job and say what network it trains and how large its checkpoints will be."""
    job = client.submit_job(spec)
    network = figures.chain(job["obs_dim"], job["hidden_dims"], "actions")
    terminal.say(f"{job['id']} on tier {job['tier']}: {network}")
    terminal.say(f"its checkpoints will have {job['predicted_bytes']:,} bytes each")
    say_why_it_waits(client, job)
    return job


def say_why_it_waits(client: Client, job: JobDetail) -> None:
    """Say what a job that was just accepted waits for, and where that is a worker, how one is started."""
    waiting = job.get("waiting")  # an older service does not say
    if not waiting:
        return
    terminal.say(f"it waits: {terminal.plain(waiting)}")
    try:
        is_served = any(job["queue"] in worker["queues"] for worker in client.workers())
    except ServiceError:
        return
    if not is_served:
        terminal.say(f"  start a worker on its host:  {worker_command(job['tier'])}")


def train_folds(
    client: Client, spec: dict[str, Any], folds: int, tracking: Tracking, *, detach: bool, as_json: bool
) -> None:
    """Submit a job for each fold; watch them one after the other, and show the last one with all folds."""
    jobs = client.submit_folds(spec, folds)
    for number, job in enumerate(jobs, start=1):
        terminal.say(f"{job['id']} on tier {job['tier']}: fold {number} of {folds}")
    say_why_it_waits(client, jobs[0])
    if detach:
        terminal.print_json(jobs) if as_json else terminal.show(draw_jobs(jobs))
        return
    for job in jobs[:-1]:
        follow_job(client, job["id"], tracking)
    watch_job(client, jobs[-1]["id"], tracking, as_json=as_json)
    if not as_json:
        terminal.show(draw_report(client.evaluation(jobs[-1]["id"])))


def watch_job(
    client: Client, job_id: str, tracking: Tracking = NOT_TRACKED, *, as_json: bool = False
) -> None:
    """Follow a job to its end and show it; exit code 1 unless it succeeded, 130 on Ctrl-C."""
    follow_job(client, job_id, tracking)
    job = client.job(job_id)
    show_job(job, as_json=as_json)
    if job["state"] != "succeeded":
        raise typer.Exit(EXIT_ERROR)


def follow_job(client: Client, job_id: str, tracking: Tracking = NOT_TRACKED) -> None:
    """Show a job's events until it ends; exit code 130 on Ctrl-C, which ends only the watching."""
    flag, trackers = url_flag(client.base_url), tracking.open()
    try:
        client.job(job_id)  # an unknown job, or a service that is down, is said at once
        events = client.events(job_id, on_break=_say_once())
        follow_events(tracked(client, job_id, events, trackers, say_untracked), terminal.err())
    except KeyboardInterrupt:
        terminal.say("\nno longer watching; the job goes on")
        terminal.say(f"  watch it again:                 caliper jobs watch {job_id}{flag}")
        terminal.say(f"  stop it, keeping a checkpoint:  caliper jobs cancel {job_id}{flag}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except ServiceUnreachable:
        terminal.say("no longer watching; the job does not need the service's API to go on")
        terminal.say(f"  watch it again:                 caliper jobs watch {job_id}{flag}")
        raise


def _say_once() -> Callable[[str], None]:
    """Says why a connection broke, once until another reason comes."""
    said: set[str] = set()

    def say(reason: str) -> None:
        if reason not in said:
            said.add(reason)
            terminal.say(f"{terminal.plain(reason)}; trying again …")

    return say


def show_job(job: JobDetail, *, as_json: bool) -> None:
    """Print a job."""
    if as_json:
        terminal.print_json(job)
    else:
        terminal.show(draw_job(job))


def parse_settings(settings: list[str], option: str, example: str) -> dict[str, Any]:
    """Settings from `name=value`; the value is JSON, or else text. Raises InvalidInput."""
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            hint = f"name=value, such as {example}"
            raise InvalidInput(f"{setting!r} is no setting", hint=hint, pointer=option)
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found
