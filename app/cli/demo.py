"""`caliper demo`: the main job end to end, drawn for a terminal."""

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from app.cli import terminal
from app.cli.difference import draw_diff
from app.cli.group import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_TERMINATED
from app.cli.options import AsJson
from app.cli.progress import follow_events
from app.cli.report import draw_report
from app.cli.result import draw_result
from app.client import Event, ServiceError
from app.errors import CaliperError

INDENT = 2


def demo_command(
    *,
    timesteps: Annotated[int, typer.Option(min=1, help="Environment steps of the main job.")] = 200_000,
    data_dir: Annotated[Path, typer.Option(help="Folder that everything is kept in.")] = Path(
        ".caliper/demo"
    ),
    keep_data: Annotated[
        bool,
        typer.Option("--keep-data", help="Go on with the data of an earlier demo instead of removing it."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train, inspect and compare networks on real bars, on a service of its own; every step is checked.

    Takes a few minutes on two cores and needs no GPU. With --json the tour goes to stderr, what it found to stdout.

    Example:
      caliper demo --timesteps 50000

    Exit codes: 0 every check held · 1 one did not, or the demo cannot run · 2 wrong usage · 130 Ctrl-C.
    """
    # The stack loads pydantic, Redis and the market room: more than `caliper --help` may take in all.
    from app.demo import DemoOptions, run_demo  # noqa: PLC0415

    # Two threads that spin for each other on a busy machine train four times slower than two that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Ended by `kill` or a closing shell, Python would not unwind: the stack must be stopped in any case.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        view = TerminalView(terminal.err() if as_json else terminal.out())
        run_demo(DemoOptions(data_dir, timesteps, keep_data), view)
        if as_json:
            terminal.print_json(view.found)
    except (CaliperError, ServiceError) as error:
        terminal.print_error(error)
        terminal.say(f"the logs are in {data_dir / 'logs'}")
        raise typer.Exit(EXIT_ERROR) from error
    except KeyboardInterrupt:
        terminal.say(f"\nstopped; the service is down, what it made so far is in {data_dir}")
        raise typer.Exit(EXIT_INTERRUPTED) from None


class TerminalView:
    """Draws the demo: steps numbered, checks with a tick; `found` is what it was told, for programs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0
        self.found: dict[str, Any] = {"checks": []}

    def step(self, title: str) -> None:
        """A new step begins."""
        self._steps += 1
        self._console.print(Text.assemble("\n", (f"{self._steps}. {terminal.plain(title)}", "bold")))

    def say(self, line: str) -> None:
        """A remark."""
        self._draw(Text(terminal.plain(line), style="dim"))

    def passed(self, line: str) -> None:
        """A check has held."""
        self.found["checks"].append(line)
        self._draw(Text.assemble(("✓ ", "green"), terminal.plain(line)))

    def follow(self, events: Iterable[Event]) -> None:
        """A job's live bar."""
        follow_events(events, self._console, indent=INDENT)

    def result(self, result: Mapping[str, Any]) -> None:
        """What the policy did."""
        self.found["result"] = result
        self._draw(draw_result(result))

    def inspection(self, report: Mapping[str, Any]) -> None:
        """What is in the checkpoint."""
        self.found["inspection"] = report
        self._draw(draw_report(report))

    def diff(self, diff: Mapping[str, Any]) -> None:
        """How the two differ."""
        self.found["diff"] = diff
        self._draw(draw_diff(diff))

    def farewell(self, places: Mapping[str, str]) -> None:
        """Where to go next."""
        self.found["places"] = places
        self._console.print(Text("\nWhere to go next", style="bold"))
        for purpose, place in places.items():
            self._console.print(Text.assemble(f"  {purpose}\n", (f"    {place}", "cyan")), soft_wrap=True)

    def _draw(self, what: Any) -> None:
        terminal.show(terminal.indented(what, INDENT), self._console)
