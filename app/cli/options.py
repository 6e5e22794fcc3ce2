"""Options that several commands take."""

from typing import Annotated

import typer

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

SERVICE = DEFAULT_URL
"""The default of `--url`."""


def connect(url: str) -> Client:
    """A client of the service at `url`. Raises InvalidInput for what is no address."""
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"{url!r} is no address", hint="such as http://127.0.0.1:8400", pointer="--url")
    return Client(url)


def parse_dims(text: str) -> tuple[int, ...]:
    """Widths from `512,256,128`. Raises InvalidInput."""
    try:
        return tuple(int(part.replace("_", "")) for part in text.split(","))
    except ValueError:
        hint = "whole numbers joined by commas, such as 512,256,128"
        raise InvalidInput(f"{text!r} are no layer widths", hint=hint, pointer="--hidden") from None
