"""What all commands have in common: an error is one clear message on stderr, never a traceback."""

from typing import Any

import typer
from typer.core import TyperGroup

from app.cli import terminal
from app.client import ServiceError
from app.errors import CaliperError

EXIT_ERROR = 1
"""Something went wrong: refused, not found, unreachable, failed."""

EXIT_FINDING = 2
"""The command line was wrong or, for `inspect`, the file has a finding of high severity."""

EXIT_INTERRUPTED = 130
"""Ctrl-C, as shells count it (128 + SIGINT)."""

EXIT_TERMINATED = 143
"""SIGTERM, as shells count it."""

EXIT_CODES = (
    "Exit codes: 0 done · 1 an error, said on stderr · 2 wrong usage or, for inspect, a finding of high "
    "severity · 130 Ctrl-C."
)


class CaliperGroup(TyperGroup):
    """A group of commands whose errors become a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; turn what it raises on purpose into a message."""
        try:
            return super().invoke(ctx)
        except (CaliperError, ServiceError) as error:
            terminal.print_error(error)
            raise typer.Exit(EXIT_ERROR) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise  # `caliper … | head`: nobody reads on; typer ends quietly
            terminal.print_problem(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
            raise typer.Exit(EXIT_ERROR) from error
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
