"""What all commands have in common: an error is one clear message on stderr, never a traceback; exit codes; help."""

import re
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from app.cli import terminal
from app.cli.api_key import api_key_option
from app.client import ServiceError, ServiceUnreachable
from app.errors import CaliperError

EXIT_ERROR = 1
"""Something went wrong: refused, not found, failed."""

EXIT_FINDING = 2
"""The command line was wrong or, for `inspect`, the file has a finding of high severity."""

EXIT_UNREACHABLE = 3
"""The service does not answer, or cannot just now: what was asked may be asked again."""

EXIT_INTERRUPTED = 130
"""Ctrl-C, as shells count it (128 + SIGINT)."""

EXIT_TERMINATED = 143
"""SIGTERM, as shells count it."""

EXIT_CODES = (
    "Exit codes: 0 done · 1 an error, said on stderr · 2 wrong usage or, for inspect, a finding of high "
    "severity · 3 the service does not answer · 130 Ctrl-C."
)

EXIT_CODES_HERE = "Exit codes: 0 done · 1 an error, said on stderr · 2 wrong usage · 130 Ctrl-C."
"""Those of a command that asks no service."""

EXIT_CODES_SERVICE = "Exit codes: 0 done · 1 an error, said on stderr · 2 wrong usage · 3 the service does not answer · 130 Ctrl-C."
"""Those of a command that asks a service."""

SAME_AS = {"dataset": "datasets", "job": "jobs", "checkpoint": "checkpoints", "worker": "workers"}
"""Other spellings of a command."""


class CaliperGroup(TyperGroup):
    """A group of commands whose errors become a message and an exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.help = unwrap(self.help or "")
        for command in self.commands.values():
            command.help = unwrap(command.help or "")
            asks = any("--url" in parameter.opts for parameter in command.params)
            if asks and not any("--api-key" in parameter.opts for parameter in command.params):
                command.params.append(api_key_option())
            if not isinstance(command, TyperGroup) and "xit code" not in command.help:
                command.epilog = command.epilog or (EXIT_CODES_SERVICE if asks else EXIT_CODES_HERE)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, or of another spelling of it."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, SAME_AS.get(cmd_name, ""))

    def main(self, *arguments: Any, **options: Any) -> NoReturn:
        """Run a command line and end the process."""
        try:
            code = super().main(*arguments, **{**options, "standalone_mode": False})
        except (CaliperError, ServiceError) as error:
            terminal.print_error(error)
            code = EXIT_UNREACHABLE if isinstance(error, ServiceUnreachable) else EXIT_ERROR
        except typer.TyperException as error:
            code = _say_usage(error)
        except (typer.Abort, KeyboardInterrupt):
            code = EXIT_INTERRUPTED
        except OSError as error:
            terminal.print_problem(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
            code = EXIT_ERROR
        sys.exit(code)


def unwrap(text: str) -> str:
    """Help whose paragraphs are single lines, which the terminal breaks; indented blocks stay as they are."""
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n\n".join(_unwrap_paragraph(paragraph) for paragraph in paragraphs)


def _unwrap_paragraph(paragraph: str) -> str:
    lines = paragraph.split("\n")
    if any(line.startswith("  ") for line in lines):
        return paragraph
    return " ".join(line.strip() for line in lines)


def _say_usage(error: typer.TyperException) -> int:
    """Say what was wrong with a command line; its exit code."""
    code = int(getattr(error, "exit_code", EXIT_FINDING))
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return code  # typer has printed the help
    message = getattr(error, "format_message", lambda: str(error))()
    detail, *suggestion = re.split(r"\s+(?=Did you mean|\(Possible)", message, maxsplit=1)
    path = context.command_path if context is not None else "caliper"
    hint = " ".join([*(each.strip("()") for each in suggestion), f"`{path} --help` has all that it takes"])
    terminal.print_problem(detail.rstrip("."), hint=hint)
    return code
