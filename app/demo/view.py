"""What the demo shows, as a protocol: its steps know nothing of terminals."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from app.client import Event

Json = Mapping[str, Any]


class View(Protocol):
    """Shows what the demo does; the command line draws it, tests record it."""

    def step(self, title: str) -> None:
        """A new step begins."""

    def say(self, line: str) -> None:
        """A remark."""

    def passed(self, line: str) -> None:
        """A check has held."""

    def follow(self, events: Iterable[Event]) -> None:
        """Show a job's events until they end."""

    def result(self, result: Json) -> None:
        """Show what a job reached."""

    def inspection(self, report: Json) -> None:
        """Show what is in a checkpoint."""

    def diff(self, diff: Json) -> None:
        """Show how two checkpoints differ."""

    def farewell(self, places: Mapping[str, str]) -> None:
        """Show where to go next: what it is for, and the command or address."""
