"""What the operations are given: the service's parts, a page's bounds, checked names."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Header, Path, Query, Request

from app.access import Caller
from app.actions.prove_consumption import ConsumptionProof
from app.actions.verify_key import HINT
from app.api.background import Repeated
from app.api.callers import caller_of
from app.api.guard import Gate
from app.api.job_feed import JobFeeds
from app.api.kept_answers import KeptAnswers
from app.api.measurements import RequestMeasurements
from app.errors import Unauthenticated
from app.queue import Queue
from app.registry.database import Database
from app.settings import Settings
from app.storage import Storage

Answer = TypeVar("Answer")

MAX_PARALLEL_READS = 4
"""Uploads that are examined at the same time; each may take the memory of a sandbox."""


@dataclass(frozen=True)
class Parts:
    """The parts of the service, put together by create_app()."""

    settings: Settings
    database: Database
    queue: Queue
    storage: Storage
    relay: Repeated
    sweep: Repeated
    upload_sweep: Repeated
    artifact_sweep: Repeated
    reaper: Repeated
    tidy: Repeated
    proof: ConsumptionProof
    prover: Repeated
    reads: CapacityLimiter
    measurements: RequestMeasurements
    answers: KeptAnswers
    feeds: JobFeeds
    gate: Gate

    @property
    def loops(self) -> tuple[Repeated, ...]:
        """What this process repeats, in the order in which it starts."""
        return (
            self.relay,
            self.sweep,
            self.upload_sweep,
            self.artifact_sweep,
            self.reaper,
            self.tidy,
            self.prover,
        )

    async def read_upload(self, action: Callable[..., Answer], /, *args: object, **kwargs: object) -> Answer:
        """Run an action on an upload in a thread, few at a time, so that the other threads stay free."""
        with self.measurements.reading():
            return await to_thread.run_sync(partial(action, *args, **kwargs), limiter=self.reads)

    async def in_thread(self, action: Callable[..., Answer], /, *args: object) -> Answer:
        """Run something that waits, in one of the usual threads."""
        return await to_thread.run_sync(action, *args)


async def get_parts(request: Request) -> Parts:
    """The parts of the app that answers."""
    parts: Parts = request.app.state.parts
    return parts


async def get_caller(request: Request) -> Caller:
    """Who sent the request."""
    caller = caller_of(request.scope)
    if caller is None:
        raise Unauthenticated("nobody let this request in", hint=HINT)
    return caller


async def get_limit(
    parts: Annotated[Parts, Depends(get_parts)],
    limit: Annotated[int, Query(ge=1, le=1_000, description="Most items of the page.")] = 50,
) -> int:
    """The size of a page, at most what the settings allow."""
    return min(limit, parts.settings.page_size_max)


ServiceParts = Annotated[Parts, Depends(get_parts)]
AskedBy = Annotated[Caller, Depends(get_caller)]
Limit = Annotated[int, Depends(get_limit)]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z]+_[0-9a-f]{22}$",
        description="`next_cursor` of the page before; left out for the first.",
    ),
]
PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
"""No control characters: no name or label has one, and PostgreSQL refuses NUL."""

JobId = Annotated[str, Path(max_length=200, pattern=PRINTABLE, description="Id of the job.")]
DatasetId = Annotated[
    str,
    Path(max_length=200, pattern=PRINTABLE, description="Id of the dataset, or its name: then the newest."),
]
CheckpointId = Annotated[
    str, Path(max_length=200, pattern=PRINTABLE, description="Id of the checkpoint, or an alias.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A key of your choice; the same key with the same body gives the same answer.",
    ),
]
