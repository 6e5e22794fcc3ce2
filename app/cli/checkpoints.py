"""`caliper checkpoints …`: list, show, download, upload."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from app.cli import terminal
from app.cli.options import SERVICE, AsJson, Limit, Url, connect
from app.cli.report import draw_report
from app.cli.result import describe_sizes, draw_checkpoints
from app.cli.upload import UploadProgress
from app.client.answers import CheckpointDetail

app = typer.Typer(help="Registered checkpoints: list, show, download, upload.", no_args_is_help=True)

CheckpointId = Annotated[str, typer.Argument(help="Id of the checkpoint, or an alias.", show_default=False)]
File = Annotated[
    Path, typer.Argument(help="The checkpoint file.", exists=True, dir_okay=False, show_default=False)
]


SUFFIXES = {"safetensors": ".safetensors", "sb3_zip": ".zip"}
"""What a downloaded file's name ends with, by container; .pt otherwise."""


@app.command("list")
def list_checkpoints(
    *,
    job: Annotated[str | None, typer.Option(help="Only checkpoints of this job.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only checkpoints with this tag.")] = None,
    limit: Limit = 20,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Show checkpoints, the newest first."""
    filters = {name: value for name, value in {"job": job, "tag": tag}.items() if value}
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
    """Show one checkpoint with all that is in its file."""
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
    """Fetch a checkpoint's file, verified by its sha256; a broken download goes on where it stopped."""
    with connect(url) as client:
        row = client.checkpoint(checkpoint)
        path = client.download(row["id"], out or Path(row["id"] + SUFFIXES.get(_format(row), ".pt")))
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
    """
    with connect(url) as client, UploadProgress(file.name) as progress:
        try:
            row = client.upload_checkpoint(
                file, name=name or file.name, tags=tag or [], on_progress=progress.show
            )
        except KeyboardInterrupt:
            terminal.say(progress.parting)
            raise
    if as_json:
        terminal.print_json(row)
    else:
        terminal.show(draw_checkpoints([row]))


def _format(row: CheckpointDetail) -> str:
    return row["report"]["format"] if row["report"] else ""
