"""Where output goes: data to stdout, everything about it to stderr; colours only on a terminal."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from app.client import ServiceError
from app.errors import CaliperError

MOST_FINDINGS = 10
"""How many of a dataset's findings an error message lists."""


def out() -> Console:
    """Stdout. Made anew each time: tests and redirections change the stream."""
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Stderr."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Write JSON to stdout: plain where it is read by a program."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write(f"{text}\n")


def print_error(error: CaliperError | ServiceError) -> None:
    """Say what was wrong, where, and what would be allowed."""
    print_problem(error.detail, hint=error.hint, pointer=error.pointer)
    findings = error.extra.get("findings")
    if isinstance(findings, list):
        for line in _finding_lines(findings):
            err().print(Text(f"  {line}"))


def print_problem(detail: str, *, hint: str = "", pointer: str = "") -> None:
    """Write an error message to stderr; what the service or a file said is never read as markup."""
    message = Text.assemble(("error", "bold red"), ": ", plain(detail))
    if pointer and pointer not in detail:
        message.append(f" (at {plain(pointer)})")
    if hint:
        message.append("\n").append("hint", style="bold").append(f": {plain(hint)}")
    err().print(message, soft_wrap=True)


def say(line: str) -> None:
    """Write a remark to stderr."""
    err().print(Text(line), soft_wrap=True)


def plain(text: Any) -> str:
    """Text from a file or the service without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def cell(value: Any, style: str = "") -> Text:
    """A table's cell; None is shown as a dash."""
    return Text("\N{EN DASH}" if value is None or value == "" else plain(value), style=style)


def grid(*columns: str, right: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """A table without rules; columns in `right` are flushed right, those in `whole` never broken into lines."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    flushed, kept = set(right), set(whole)
    for name in columns:
        justify: Literal["right", "left"] = "right" if name in flushed else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in kept)
    return table


def show(part: RenderableType, console: Console | None = None) -> None:
    """Print a drawing; where it is piped, without the blanks that fill tables up to their width."""
    console = console or out()
    if console.is_terminal:
        console.print(part)
        return
    with console.capture() as drawn:
        console.print(part)
    text = "\n".join(line.rstrip() for line in drawn.get().split("\n"))
    console.file.write(text)


def stack(*parts: RenderableType) -> Group:
    """Parts below each other with an empty line between, and no padding that a pipe would carry on."""
    lines: list[RenderableType] = []
    for part in parts:
        lines += [part, Text()]
    return Group(*lines[:-1])


def indented(part: RenderableType, columns: int) -> Padding:
    """A part moved to the right, without padding behind it."""
    return Padding(part, (0, 0, 0, columns), expand=False)


def pairs(entries: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Table:
    """Facts, one a line: a name and its value."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in entries.items() if isinstance(entries, Mapping) else entries:
        table.add_row(name, value if isinstance(value, Text) else cell(value))
    return table


def _finding_lines(findings: list[Any]) -> Iterable[str]:
    for finding in findings[:MOST_FINDINGS]:
        if isinstance(finding, dict):
            code, text = finding.get("code", ""), finding.get("message") or finding.get("detail", "")
            fix = finding.get("fix", "")
            yield plain(f"{code}: {text}" + (f" — {fix}" if fix else ""))
    if len(findings) > MOST_FINDINGS:
        yield f"and {len(findings) - MOST_FINDINGS} more"
