"""Where output goes: data to stdout, everything about it to stderr; colours only on a terminal."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from app.cli.refusal import memory_lines
from app.client import ServiceError
from app.errors import CaliperError

GAP = 2
"""Blanks between two columns."""

MOST_WIDTH = 10_000
"""Wider than any terminal: at which nothing is broken."""

MOST_FINDINGS = 10
"""How many of a dataset's findings an error message lists."""


def out() -> Console:
    """Stdout. Made anew each time: tests and redirections change the stream."""
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Stderr."""
    return Console(stderr=True, highlight=False)


def is_live(console: Console) -> bool:
    """Whether a line may be drawn again and again; FORCE_COLOR asks for colours in a file, not for that."""
    forced = bool(os.environ.get("FORCE_COLOR")) and not console.file.isatty()
    return console.is_terminal and not console.is_dumb_terminal and not forced


def is_asked() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def print_json(value: Any) -> None:
    """Write JSON to stdout: plain where it is read by a program."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write(f"{text}\n")


def print_json_line(value: Any) -> None:
    """Write JSON as one line, at once: for a program that waits for it."""
    sys.stdout.write(f"{json.dumps(value, ensure_ascii=False)}\n")
    sys.stdout.flush()


def write(text: str) -> None:
    """Write text that a file or the service holds to stdout, line by line as it is, without control characters."""
    sys.stdout.write(plain(text) if text.endswith("\n") or not text else f"{plain(text)}\n")


def print_error(error: CaliperError | ServiceError) -> None:
    """Say what was wrong, where, and what would be allowed."""
    print_problem(error.detail, hint=error.hint, pointer=error.pointer)
    findings = error.extra.get("findings")
    lines = _finding_lines(findings) if isinstance(findings, list) else memory_lines(error.extra)
    for line in lines:
        err().print(Text(f"  {plain(line)}"), soft_wrap=True)


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


class Grid(Table):
    """A table without rules; where the terminal is too narrow for it, a block of lines for each row.

    An identifier that is cut off cannot be copied, and a number that is broken is another number.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - GAP * (len(self.columns) - 1)
        spans = [self._span(column, console, options) for column in self.columns]
        if sum(least for least, _ in spans) <= room:
            self._share(room, spans)
            yield from super().__rich_console__(console, options)
            return
        names = [str(column.header) for column in self.columns]
        for number, row in enumerate(zip(*(column.cells for column in self.columns), strict=True)):
            if number:
                yield Text()
            yield pairs((name, cell) for name, cell in zip(names, row, strict=True) if name)

    def _span(self, column: Column, console: Console, options: ConsoleOptions) -> tuple[int, int]:
        """The width below which something would be cut off, or broken that may not be; and that without any break."""
        wide = options.update(width=MOST_WIDTH)
        head = Measurement.get(console, wide, column.header).maximum
        most = max([head, *(Measurement.get(console, wide, cell).maximum for cell in column.cells)])
        return (most if column.no_wrap else head), most

    def _share(self, room: int, spans: Sequence[tuple[int, int]]) -> None:
        """Give columns that may be broken equal parts of what is left, those that need little all of their need.

        Rich would break other columns before, and cut headers off.
        """
        left = room - sum(least for least, _ in spans)
        needy = sorted(zip(self.columns, spans, strict=True), key=lambda pair: pair[1][1] - pair[1][0])
        for place, (column, (least, most)) in enumerate(needy):
            more = min(left // (len(needy) - place), most - least)
            left -= more
            column.width = max(1, least + more)


def grid(*columns: str, right: Iterable[str] = (), whole: Iterable[str] = ()) -> Grid:
    """A table; columns in `right` are flushed right; neither they nor those in `whole` are broken into lines."""
    table = Grid(box=None, header_style="dim", pad_edge=False)
    flushed, kept = set(right), set(whole)
    for name in columns:
        justify: Literal["right", "left"] = "right" if name in flushed else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in flushed | kept)
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
