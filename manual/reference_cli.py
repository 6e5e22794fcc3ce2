"""The reference of the command line, from the help that typer prints: each command with arguments and options."""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from app.cli.commands import app

HEAD = """# The command line

What `caliper --help` says of each command, generated from it.

"""


def cli_page() -> str:
    """The page in Markdown."""
    return HEAD + "\n".join(_sections("caliper", get_command(app), 2)) + "\n"


def _sections(path: str, command: Any, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{path}`\n"
    yield _prose(command.help or "")
    yield from _parameters(command)
    if command.epilog:
        yield f"{command.epilog}\n"
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            if not inner.hidden:
                yield from _sections(f"{path} {name}", inner, min(level + 1, 4))


def _prose(help_text: str) -> str:
    """Paragraphs as they are; indented examples as code."""
    parts = []
    for paragraph in help_text.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        words = [line for line in lines if not line.startswith("  ")]
        code = [line.removeprefix("  ") for line in lines if line.startswith("  ")]
        block = "\n```sh\n" + "\n".join(code) + "\n```\n" if code else ""
        parts.append(_escape("\n".join(words)) + "\n" + block)
    return "\n".join(parts)


def _parameters(command: Any) -> Iterator[str]:
    rows = [
        _row(each) for each in command.params if not getattr(each, "hidden", False) and each.name != "help"
    ]
    if rows:
        yield "| | | default |\n|---|---|---|"
        yield "\n".join(rows) + "\n"


def _row(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    shown = getattr(parameter, "show_default", False)
    default = parameter.default if shown is True or not isinstance(shown, str) else shown
    told = "" if default in (None, False, "", ()) or callable(default) or shown is False else f"`{default}`"
    if parameter.required:
        told = "required"
    variable = f" (`{parameter.envvar}`)" if getattr(parameter, "envvar", None) else ""
    return f"| {names} | {_escape(getattr(parameter, 'help', '') or '')}{variable} | {told} |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
