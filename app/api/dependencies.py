"""What the operations are given: the service's parts, a page's bounds, checked names."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Header, Path, Query, Request

from app.api.background import Repeated
from app.api.kept_answers import KeptAnswers
from app.api.measurements import RequestMeasurements
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
    reads: CapacityLimiter
    measurements: RequestMeasurements
    answers: KeptAnswers

    async def read_upload(self, action: Callable[..., Answer], /, *args: object, **kwargs: object) -> Answer:
        """Run an action on an upload in a thread, few at a time, so that the other threads stay free."""
        return await to_thread.run_sync(partial(action, *args, **kwargs), limiter=self.reads)

    async def in_thread(self, action: Callable[..., Answer], /, *args: object) -> Answer:
        """Run something that waits, in one of the usual threads."""
        return await to_thread.run_sync(action, *args)


async def get_parts(request: Request) -> Parts:
    """The parts of the app that answers."""
    parts: Parts = request.app.state.parts
    return parts


async def get_limit(
    parts: Annotated[Parts, Depends(get_parts)],
    limit: Annotated[int, Query(ge=1, le=1_000, description="Most items of the page.")] = 50,
) -> int:
    """The size of a page, at most what the settings allow."""
    return min(limit, parts.settings.page_size_max)


ServiceParts = Annotated[Parts, Depends(get_parts)]
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
