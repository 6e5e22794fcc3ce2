"""Options that several commands take."""

import os
import shlex
from typing import Annotated

import typer

from app.cli import terminal
from app.cli.api_key import given_key
from app.cli.completion import complete_checkpoints, complete_datasets, complete_jobs
from app.cli.group import EXIT_ERROR
from app.client import Client
from app.client.connection import DEFAULT_URL
from app.errors import InvalidInput

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, for programs.")]

Url = Annotated[
    str, typer.Option("--url", envvar="CALIPER_URL", help="Address of the service.", show_default=True)
]

Hidden = Annotated[
    str,
    typer.Option("--hidden", help="Widths of the trunk's layers, such as 512,256,128.", show_default=False),
]

Limit = Annotated[int, typer.Option(min=1, help="Most items to show.")]

JobId = Annotated[
    str, typer.Argument(help="Id of the job.", show_default=False, autocompletion=complete_jobs)
]

CheckpointId = Annotated[
    str,
    typer.Argument(
        help="Id of the checkpoint, or an alias.", show_default=False, autocompletion=complete_checkpoints
    ),
]

DatasetId = Annotated[
    str,
    typer.Argument(
        help="Id of the dataset, or its name.", show_default=False, autocompletion=complete_datasets
    ),
]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether it is meant.")]

SERVICE = DEFAULT_URL
"""The default of `--url`."""

RETRIES = 1
"""A kept connection that was closed is opened again; a service that is down is said to be so at once."""


def connect(url: str) -> Client:
    """A client of the service at `url`. Raises InvalidInput for what is no address."""
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"{url!r} is no address", hint="such as http://127.0.0.1:8400", pointer="--url")
    return Client(url, retries=RETRIES, api_key=given_key())


def url_flag(url: str) -> str:
    """What a later command line must add to reach the same service."""
    usual = os.environ.get("CALIPER_URL") or DEFAULT_URL
    return "" if url.rstrip("/") == usual.rstrip("/") else f" --url {shlex.quote(url)}"


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether something that cannot be undone is meant. Raises InvalidInput where there is nobody to ask."""
    if yes:
        return
    if not terminal.is_asked():
        raise InvalidInput(f"nobody can be asked: {question}", hint="say --yes where it is meant")
    if not typer.confirm(question, err=True):
        raise typer.Exit(EXIT_ERROR)


def parse_dims(text: str) -> tuple[int, ...]:
    """Widths from `512,256,128`. Raises InvalidInput."""
    try:
        return tuple(int(part.replace("_", "")) for part in text.split(","))
    except ValueError:
        hint = "whole numbers joined by commas, such as 512,256,128"
        raise InvalidInput(f"{text!r} are no layer widths", hint=hint, pointer="--hidden") from None
