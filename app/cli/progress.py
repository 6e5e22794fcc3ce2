"""A job's event stream in a terminal: a live bar, or plain lines where there is no terminal."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from app.cli import figures, terminal
from app.client import Event

LINE_SECONDS = 5.0
"""Least time between two plain lines of progress."""

BAR_WIDTH = 24

ABOUT_EVENT = frozenset({"message", "attempt", "at"})
"""Members of a log event that are not its facts."""

STATE_STYLE = {
    "succeeded": "green",
    "failed": "bold red",
    "cancelled": "yellow",
    "running": "cyan",
    "queued": "dim",
}


@dataclass
class RunState:
    """What the events so far say about a run."""

    state: str = "queued"
    progress: dict[str, Any] = field(default_factory=dict)

    def take(self, event: Event) -> str:
        """Fold an event in; a line worth keeping, or nothing."""
        if event.kind == "progress":
            self.progress = event.data
            return ""
        if event.kind == "state":
            self.state = str(event.data.get("state", self.state))
        return describe(event)

    @property
    def share(self) -> float:
        """How far the run is, 0 to 1."""
        total = self.progress.get("total_timesteps") or 0
        return min(1.0, self.progress.get("global_step", 0) / total) if total else 0.0


def follow_events(events: Iterable[Event], console: Console, *, indent: int = 0) -> RunState:
    """Show a job's events until they end; the state that they leave it in."""
    if terminal.is_live(console):
        return _follow_live(events, console, indent)
    return _follow_plainly(events, console, indent)


def describe(event: Event) -> str:
    """A line for what happened; empty for kinds that need none."""
    data = event.data
    if event.kind == "checkpoint":
        same = " as predicted" if data.get("bytes") == data.get("predicted_bytes") else ""
        return f"checkpoint at step {data.get('step', 0):,}: {data.get('bytes', 0):,} bytes{same} ({data.get('id')})"
    if event.kind == "log":
        facts = ", ".join(f"{name} {value}" for name, value in data.items() if name not in ABOUT_EVENT)
        return f"{data.get('message', '')}{f' ({facts})' if facts else ''}"
    if event.kind == "cancel":
        return "asked to checkpoint and stop"
    if event.kind != "state":
        return ""
    error = data.get("error") or {}
    why = error.get("detail") or data.get("reason") or ""
    by = f" on {data['worker']}" if data.get("worker") else ""
    return f"{data.get('state')}{by}{f': {why}' if why else ''}"


def headline(run: RunState, width: int = BAR_WIDTH) -> Text:
    """The bar, the share and the time left."""
    steps = f"{run.progress.get('global_step', 0):,} of {run.progress.get('total_timesteps', 0):,} steps"
    filled = figures.bar(run.share, width)
    line = Text.assemble((filled, "cyan"), ("╌" * (width - len(filled)), "dim"), f" {run.share:4.0%}  ")
    if not run.progress:
        return Text.assemble(line, (run.state, STATE_STYLE.get(run.state, "")))
    left = run.progress.get("seconds_left")
    return line.append(steps).append(f"  {figures.duration(left)} left" if run.share < 1 else "")


def figures_line(run: RunState) -> str:
    """Speed, return and losses; short enough for 80 columns."""
    shown = run.progress
    speed = shown.get("steps_per_second")
    told = (
        f"{figures.NOTHING if speed is None else f'{speed:,.0f}'} steps/s",
        f"return {figures.number(shown.get('episode_return'), 3)}",
        f"policy loss {figures.number(shown.get('policy_loss'), 4)}",
        f"value loss {figures.number(shown.get('value_loss'), 4)}",
    )
    return " · ".join(told)


def _follow_live(events: Iterable[Event], console: Console, indent: int) -> RunState:
    run = RunState()
    with Live(_view(run, indent), console=console, refresh_per_second=8) as live:
        for event in events:
            line = run.take(event)
            if line:
                live.console.print(terminal.indented(Text(terminal.plain(line), style="dim"), indent))
            live.update(_view(run, indent))
    return run


def _follow_plainly(events: Iterable[Event], console: Console, indent: int) -> RunState:
    run, said_at, margin = RunState(), 0.0, " " * indent
    for event in events:
        line = run.take(event)
        if line:
            console.print(f"{margin}{terminal.plain(line)}", markup=False, soft_wrap=True)
        elif run.progress and (time.monotonic() - said_at >= LINE_SECONDS or run.share == 1.0):
            said_at = time.monotonic()
            console.print(f"{margin}{_plain_head(run)}  {figures_line(run)}", markup=False, soft_wrap=True)
    return run


def _view(run: RunState, indent: int) -> Padding:
    lines = Group(headline(run), Text(figures_line(run) if run.progress else "", style="dim", no_wrap=True))
    return terminal.indented(lines, indent)


def _plain_head(run: RunState) -> str:
    left = figures.duration(run.progress.get("seconds_left"))
    return f"{run.share:4.0%}  step {run.progress.get('global_step', 0):,}  {left} left"
