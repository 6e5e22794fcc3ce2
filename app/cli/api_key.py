"""`--api-key`, which every command takes that asks a service; never printed."""

from contextvars import ContextVar
from typing import Annotated, Any

import typer

_GIVEN: ContextVar[str | None] = ContextVar("api_key", default=None)


def given_key() -> str | None:
    """The key of this command line; None where it has none, and CALIPER_API_KEY counts."""
    return _GIVEN.get()


def _take(key: str | None) -> None:
    _GIVEN.set(key)


_bearer = typer.Typer(add_completion=False)


@_bearer.command()
def _declare(
    _api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            help="API key, where the service asks for one. Better in CALIPER_API_KEY: others may read command lines.",
            metavar="KEY",
            callback=_take,
            expose_value=False,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Carry the option; it is declared here alone and added to the commands by their group."""


def api_key_option() -> Any:
    """The option, for a command that has --url."""
    return typer.main.get_command(_bearer).params[0]
