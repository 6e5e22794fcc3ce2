"""`caliper checkpoints …`: list, show, download, upload; its labels are in checkpoint_labels.py."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from app.checkpoint.suffix import suffix_of
from app.cli import checkpoint_labels, terminal
from app.cli.completion import complete_jobs
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
from app.cli.options import SERVICE, AsJson, CheckpointId, Limit, Url, connect
from app.cli.report import draw_report
from app.cli.result import describe_sizes, draw_checkpoints
from app.cli.transfer import TransferProgress
from app.client.answers import CheckpointDetail

app = typer.Typer(
    cls=CaliperGroup,
    help="Registered checkpoints: list, show, download, upload, tag, alias, delete.",
    no_args_is_help=True,
)

OfJob = Annotated[
    str | None, typer.Option("--job", help="Only checkpoints of this job.", autocompletion=complete_jobs)
]
File = Annotated[
    Path, typer.Argument(help="The checkpoint file.", exists=True, dir_okay=False, show_default=False)
]


@app.command("list")
def list_checkpoints(  # noqa: PLR0913 - the options of a command
    *,
    job: OfJob = None,
    tag: Annotated[str | None, typer.Option(help="Only checkpoints with this tag.")] = None,
    alias: Annotated[str | None, typer.Option(help="Only the one that this name points to.")] = None,
    name: PartOfName = None,
    hidden: OnlyHidden = None,
    obs_dim: OnlyObsDim = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind: final, periodic, uploaded, …")] = None,
    producer: Annotated[str | None, typer.Option(help="Only files that this software wrote.")] = None,
    metric: Metric = None,
    metric_min: MetricMin = None,
    metric_max: MetricMax = None,
    limit: Limit = 20,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Show checkpoints that match all filters, the newest first.

    Examples:
      caliper checkpoints list --job job_01k… --kind final
      caliper checkpoints list --hidden 512,256,128 --json
    """
    filters = {
        "job": job,
        "tag": tag,
        "alias": alias,
        "name": name,
        "hidden_dims": join_dims(hidden),
        "obs_dim": obs_dim,
        "kind": kind,
        "producer": producer,
        "metric": metric,
        "metric_min": metric_min,
        "metric_max": metric_max,
    }
    with connect(url) as client:
        found = list(islice(client.checkpoints(**filters), limit))
    if as_json:
        terminal.print_json(found)
    elif found:
        terminal.show(draw_checkpoints(found))
    else:
        terminal.say("no checkpoints; `caliper train` makes them, `caliper checkpoints upload` takes one in")


@app.command("show")
def show(checkpoint: CheckpointId, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Show one checkpoint with all that is in its file.

    Examples:
      caliper checkpoints show live
      caliper checkpoints show checkpoint_01k… --json
    """
    with connect(url) as client:
        row = client.checkpoint(checkpoint)
    if as_json:
        terminal.print_json(row)
        return
    parts: list[RenderableType] = [draw_checkpoints([row]), Text(describe_sizes(row))]
    if row["report"]:
        parts.append(draw_report(row["report"]))
    terminal.show(terminal.stack(*parts))


@app.command("download")
def download(
    checkpoint: CheckpointId,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to put it.", show_default="ID.pt")
    ] = None,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Fetch a checkpoint's file, verified by its sha256.

    A broken download goes on where it stopped, also when the same command is run again after Ctrl-C.

    Examples:
      caliper checkpoints download live
      caliper checkpoints download checkpoint_01k… --out model.pt
    """
    with connect(url) as client:
        row = client.checkpoint(checkpoint)
        target = out or Path(row["id"] + suffix_of(_format(row)))
        with TransferProgress(target.name, "what arrived is kept") as progress:
            path = client.download(row["id"], target, on_progress=progress.show)
    if as_json:
        terminal.print_json({"path": str(path), "bytes": row["bytes"], "sha256": row["sha256"]})
    else:
        terminal.say(f"{path}: {row['bytes']:,} bytes, sha256 {row['sha256']} verified")


@app.command("upload")
def upload(
    file: File,
    *,
    name: Annotated[str | None, typer.Option(help="Its name.", show_default="the file's")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag to put on it; may be repeated.")] = None,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Store and register a checkpoint file; the service reads it without running it.

    A large file goes in parts. Broken off by Ctrl-C or by the service, the same command goes on where it was.

    Example:
      caliper checkpoints upload model.pt --name baseline --tag daily
    """
    with connect(url) as client, TransferProgress(file.name, "the service keeps what arrived") as progress:
        row = client.upload_checkpoint(
            file, name=name or file.name, tags=tag or [], on_progress=progress.show
        )
    if as_json:
        terminal.print_json(row)
    else:
        terminal.show(draw_checkpoints([row]))


for _name, _command in checkpoint_labels.COMMANDS.items():
    app.command(_name)(_command)


def _format(row: CheckpointDetail) -> str:
    return row["report"]["format"] if row["report"] else ""
