"""`caliper train`: submit a job and watch it."""

import json
from typing import Annotated, Any

import typer

from app.cli import figures, terminal
from app.cli.group import EXIT_ERROR, EXIT_INTERRUPTED
from app.cli.job_report import draw_report
from app.cli.options import SERVICE, AsJson, Url, connect, parse_dims
from app.cli.progress import follow_events
from app.cli.result import draw_job, draw_jobs
from app.client import Client
from app.client.answers import JobDetail
from app.errors import InvalidInput

COSTS_EXAMPLE = "fee_bps=5,half_spread_bps=1,slippage=0.02,borrow_bps_per_year=300"


Datasets = Annotated[
    list[str],
    typer.Option(help="Id or name of the dataset; repeat it to train on several.", show_default=False),
]
Costs = Annotated[
    str, typer.Option(help=f"What trading costs you, all four: {COSTS_EXAMPLE}.", show_default=False)
]
UseCase = Annotated[str | None, typer.Option(help="quick, production, complex, limited_data or extended.")]
StartFrom = Annotated[str | None, typer.Option("--from", help="Checkpoint whose weights to start from.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A PPO setting, such as learning_rate=1e-3; may be repeated."),
]
Folds = Annotated[int | None, typer.Option(min=1, help="Walk forward: one job for each of so many folds.")]


def train_command(  # noqa: PLR0913 - the options of a command
    *,
    dataset: Datasets,
    timesteps: Annotated[int, typer.Option(help="Environment steps to train for.", show_default=False)],
    costs: Costs,
    hidden: Annotated[str | None, typer.Option(help="Widths of the trunk; else by tier or use case.")] = None,
    mode: Annotated[str | None, typer.Option(help="standard, quick or extended.")] = None,
    use_case: UseCase = None,
    tier: Annotated[str | None, typer.Option(help="GPU tier; else the strongest with a live worker.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; else 1.")] = None,
    name: Annotated[str, typer.Option(help="A name to find the job by.", show_default=False)] = "",
    start_from: StartFrom = None,
    setting: Settings = None,
    folds: Folds = None,
    detach: Annotated[bool, typer.Option("--detach", help="Submit and return at once.")] = False,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Submit a training job and watch it until it ends.

    Ctrl-C stops watching; the job goes on. Exit code 1 where the job fails or is cancelled.

    Example: caliper train --dataset googl --timesteps 200000 --hidden 256,128,64
    --costs fee_bps=5,half_spread_bps=1,slippage=0.02,borrow_bps_per_year=300 --set learning_rate=1e-3
    """
    wanted = {
        "dataset": dataset[0] if len(dataset) == 1 else None,
        "datasets": dataset if len(dataset) > 1 else None,
        "total_timesteps": timesteps,
        "environment": {"costs": parse_settings(costs.split(","), "--costs", COSTS_EXAMPLE)},
        "name": name,
        "hidden_dims": list(parse_dims(hidden)) if hidden else None,
        "training_mode": mode,
        "use_case": use_case,
        "tier": tier,
        "seed": seed,
        "initial_checkpoint": start_from,
        "overrides": parse_settings(setting or [], "--set", "gamma=0.995"),
    }
    spec = {key: value for key, value in wanted.items() if value not in (None, "", {})}
    with connect(url) as client:
        train(client, spec, folds, detach=detach, as_json=as_json)


def train(client: Client, spec: dict[str, Any], folds: int | None, *, detach: bool, as_json: bool) -> None:
    """Submit one job, or one for each fold, and watch unless detached."""
    if folds is not None:
        train_folds(client, spec, folds, detach=detach, as_json=as_json)
        return
    job = submit_spec(client, spec)
    if detach:
        show_job(job, as_json=as_json)
    else:
        watch_job(client, job["id"], as_json=as_json)


def submit_spec(client: Client, spec: dict[str, Any]) -> JobDetail:
    """Submit a job and say what network it trains and how large its checkpoints will be."""
    job = client.submit_job(spec)
    network = figures.chain(job["obs_dim"], job["hidden_dims"], "actions")
    terminal.say(f"{job['id']} on tier {job['tier']}: {network}")
    terminal.say(f"its checkpoints will have {job['predicted_bytes']:,} bytes each")
    return job


def train_folds(client: Client, spec: dict[str, Any], folds: int, *, detach: bool, as_json: bool) -> None:
    """Submit a job for each fold; watch them one after the other, and show the last one with all folds."""
    jobs = client.submit_folds(spec, folds)
    for number, job in enumerate(jobs, start=1):
        terminal.say(f"{job['id']} on tier {job['tier']}: fold {number} of {folds}")
    if detach:
        terminal.print_json(jobs) if as_json else terminal.show(draw_jobs(jobs))
        return
    for job in jobs[:-1]:
        follow_job(client, job["id"])
    watch_job(client, jobs[-1]["id"], as_json=as_json)
    if not as_json:
        terminal.show(draw_report(client.evaluation(jobs[-1]["id"])))


def watch_job(client: Client, job_id: str, *, as_json: bool = False) -> None:
    """Follow a job to its end and show it; exit code 1 unless it succeeded, 130 on Ctrl-C."""
    follow_job(client, job_id)
    job = client.job(job_id)
    show_job(job, as_json=as_json)
    if job["state"] != "succeeded":
        raise typer.Exit(EXIT_ERROR)


def follow_job(client: Client, job_id: str) -> None:
    """Show a job's events until it ends; exit code 130 on Ctrl-C, which ends only the watching."""
    try:
        follow_events(client.events(job_id), terminal.err())
    except KeyboardInterrupt:
        terminal.say(f"\nno longer watching; the job goes on. Watch it again:  caliper jobs watch {job_id}")
        terminal.say(f"stop it, keeping a checkpoint:                       caliper jobs cancel {job_id}")
        raise typer.Exit(EXIT_INTERRUPTED) from None


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
