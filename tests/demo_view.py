"""A view that remembers what the demo showed."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.client import Event


class RecordingView:
    """Keeps (what, value) of everything that is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, Any]] = []

    def of(self, kind: str) -> list[Any]:
        return [value for shown, value in self.shown if shown == kind]

    def step(self, title: str) -> None:
        self.shown.append(("step", title))

    def say(self, line: str) -> None:
        self.shown.append(("say", line))

    def passed(self, line: str) -> None:
        self.shown.append(("passed", line))

    def follow(self, events: Iterable[Event]) -> None:
        self.shown.append(("follow", list(events)))

    def result(self, result: Mapping[str, Any]) -> None:
        self.shown.append(("result", result))

    def inspection(self, report: Mapping[str, Any]) -> None:
        self.shown.append(("inspection", report))

    def diff(self, diff: Mapping[str, Any]) -> None:
        self.shown.append(("diff", diff))

    def farewell(self, places: Mapping[str, Any]) -> None:
        self.shown.append(("farewell", places))
