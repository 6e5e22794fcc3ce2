"""A checkpoint file on its way to the service: a large one part after part, from wherever the last one broke off."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from app.client import calls
from app.client.answers import CheckpointDetail
from app.client.calls import Call, FilePart, OnProgress
from app.client.connection import Patience
from app.client.errors import ServiceError, ServiceUnreachable
from app.client.steps import Pause, Steps, Work

PART_BYTES = 32 << 20
"""Length of a part; a smaller file is sent whole in one request."""

RETRY_SECONDS = 1.0
"""Pause before a service that does not answer is tried again."""

CONFLICT = 409


def upload_file(
    file: Path,
    name: str,
    tags: Sequence[str],
    idempotency_key: str | None,
    patience: Patience,
    on_progress: OnProgress,
) -> Steps[CheckpointDetail]:
    """Send what the service lacks of a file and register it.

    The service alone remembers how far a large file is, so any later process may go on with it.
    """
    size = file.stat().st_size
    if size <= PART_BYTES:
        stored: CheckpointDetail = yield calls.upload_checkpoint(
            file, name, tags, idempotency_key, on_progress
        )
        return stored
    sha256 = yield Work(partial(_hash, file))
    upload = yield from _patiently(calls.begin_upload(name, size, sha256), patience)
    received = int(upload["received"])
    on_progress(received, size)
    while received < size:
        part = FilePart(file, received, min(PART_BYTES, size - received))
        received = yield from _send_part(str(upload["id"]), part, patience)
        on_progress(received, size)
    registered: CheckpointDetail = yield from _patiently(
        calls.finish_upload(str(upload["id"]), tags, idempotency_key), patience
    )
    return registered


def _send_part(upload_id: str, part: FilePart, patience: Patience) -> Steps[int]:
    """Send the next part; the bytes that have arrived then, whether or not it came through."""
    try:
        upload = yield calls.send_part(upload_id, part)
    except ServiceError as error:
        # A conflict: what an earlier connection sent may still be on its way to the disk.
        if not isinstance(error, ServiceUnreachable) and error.status != CONFLICT:
            raise
        yield _pause(error, patience)
        upload = yield from _patiently(calls.upload(upload_id), patience)
    else:
        patience.renew()
    return int(upload["received"])


def _patiently(call: Call[Any], patience: Patience) -> Steps[Any]:
    """The answer to a call that does no harm when it is sent twice."""
    while True:
        try:
            answer = yield call
        except ServiceUnreachable as error:
            yield _pause(error, patience)
        else:
            return answer


def _pause(error: ServiceError, patience: Patience) -> Pause:
    """A moment to wait; raises the error once failures have lasted too long."""
    if patience.is_over():
        raise error
    return Pause(RETRY_SECONDS)


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
