"""A job and its events told to trackers: as they stand now, or in passing while somebody watches the job."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from app.client import Client, Event, ServiceError
from app.errors import CaliperError
from app.tracking.tracker import Ending, Json, Point, Points, Tracker

NO_EVALUATION = frozenset({"conflict", "not_found"})
"""Codes with which the service says that a job has no evaluation."""

Said = TypeVar("Said")
OnFailure = Callable[[Tracker, CaliperError | OSError], None]


def snapshot_job(client: Client, job_id: str, trackers: Sequence[Tracker]) -> Json:
    """Keep a job as it stands, and give it; one that still runs is brought up to date by the next call.

    Raises ServiceError, ServiceUnreachable, and CaliperError or OSError where a tracker cannot keep it.
    """
    job = client.job(job_id)
    events = _until(client.events(job_id), job["last_event"])
    for _ in tracked(client, job_id, events, trackers, _raise):
        pass
    return job


def tracked(
    client: Client, job_id: str, events: Iterable[Event], trackers: Sequence[Tracker], on_failure: OnFailure
) -> Iterator[Event]:
    """The same events, each told to the trackers in passing; when they end, the job's evaluation too.

    A tracker that cannot keep what it is told is left out from then on, which `on_failure` is told.
    """
    if not trackers:
        yield from events
        return
    circle, points, last = _Circle(trackers, on_failure), Points(), None
    circle.tell(lambda tracker, job: tracker.begin(job), client.job(job_id))
    try:
        for event in events:
            point = points.read(event)
            if point is not None:
                last = point
                circle.tell(lambda tracker, point: tracker.measure(point), point)
            yield event
        ending = _read_ending(client, client.job(job_id), last)
        circle.tell(lambda tracker, ending: tracker.end(ending), ending)
    finally:
        circle.tell(lambda tracker, _: tracker.close(), None)


class _Circle:
    """Trackers that are told the same, and left out once they fail."""

    def __init__(self, trackers: Sequence[Tracker], on_failure: OnFailure) -> None:
        self._working = list(trackers)
        self._on_failure = on_failure

    def tell(self, how: Callable[[Tracker, Said], None], said: Said) -> None:
        """Tell the trackers that still work."""
        for tracker in list(self._working):
            try:
                how(tracker, said)
            except (CaliperError, OSError) as error:
                self._working.remove(tracker)
                self._on_failure(tracker, error)


def _raise(_: Tracker, error: CaliperError | OSError) -> None:
    raise error


def _until(events: Iterable[Event], last: int) -> Iterator[Event]:
    """The events up to the one numbered `last`: those of a running job would go on."""
    for event in events:
        yield event
        if event.id >= last:
            return


def _read_ending(client: Client, job: Json, last: Point | None) -> Ending:
    ended = job["ended_at"] or (last.at.isoformat() if last else job["created_at"])
    report, page, picture = None, None, None
    try:
        if job["state"] == "succeeded":
            report, page = client.evaluation(job["id"]), client.evaluation_page(job["id"])
            picture = client.evaluation_picture(job["id"])
    except ServiceError as error:
        if error.code not in NO_EVALUATION:
            raise
    step = last.step if last else 0
    return Ending(job, datetime.fromisoformat(ended), step, report, page, picture)
