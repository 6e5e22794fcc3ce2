"""What a tracker is told: a job, each measured point in order, and how the job ended."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.client import Event

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """What a job measured at one step."""

    step: int
    """Environment steps taken by then."""
    at: datetime
    """When it was measured."""
    values: Mapping[str, float]
    """Name -> value; the names of GET /jobs/{id}/metrics."""
    again: bool
    """Whether the job had been past this step: it was resumed, and what it measured from here on holds no more."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job stands once its events are told."""

    job: Json
    """The job, as GET /jobs/{id} answers."""
    at: datetime
    """When it ended, or the last point was measured."""
    step: int
    """The last step measured; 0 before the first."""
    report: Json | None
    """Its evaluation, as GET /jobs/{id}/evaluation answers; None where there is none."""
    page: str | None
    """That as one HTML page."""
    picture: bytes | None
    """That as PNG."""


class Tracker(Protocol):
    """Keeps one job in the form of an experiment tracker; called in this order, `measure` for each point.

    Each raises CaliperError or OSError where what it writes to refuses.
    """

    @property
    def place(self) -> str:
        """Where it is kept, in words."""

    def begin(self, job: Json) -> None:
        """Find the job's run, or make it; a run that is there is brought up to date, never doubled."""

    def measure(self, point: Point) -> None:
        """Keep a point."""

    def end(self, ending: Ending) -> None:
        """Keep how the job stands or ended, with its evaluation; not called where the events break off."""

    def close(self) -> None:
        """Let go of files and bring what waits to its place; called last, whatever came before."""


@dataclass
class Points:
    """Makes points of a job's events."""

    last_step: int = 0

    def read(self, event: Event) -> Point | None:
        """The point that an event tells of, if any; values that are no finite floats are left out, as in the metrics."""
        if event.kind != "progress":
            return None
        step = int(event.data["global_step"])
        again, self.last_step = step <= self.last_step, step
        values = {
            name: value
            for name, value in event.data.items()
            if isinstance(value, float) and math.isfinite(value)
        }
        return Point(step, datetime.fromisoformat(event.data["at"]), values, again)
