"""Read an uploaded checkpoint behind both walls, and keep nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from app.checkpoint.report import CheckpointReport
from app.checkpoint.sandbox import SandboxLimits, inspect_in_child
from app.settings import Settings
from app.storage import Storage, Stored


@dataclass(frozen=True, slots=True)
class ReadUpload:
    """An upload on disk, hashed and inspected."""

    path: Path
    stored: Stored
    report: CheckpointReport


def inspect_upload(storage: Storage, settings: Settings, upload: BinaryIO, *, name: str) -> CheckpointReport:
    """Report what is in the upload; nothing of it is executed, nothing is kept.

    Raises UnreadableCheckpoint, or LimitExceeded for a file over the upload limit or a reading over its budget.
    """
    with read_upload(storage, settings, upload, name=name) as read:
        return read.report


@contextmanager
def read_upload(storage: Storage, settings: Settings, upload: BinaryIO, *, name: str) -> Iterator[ReadUpload]:
    """Spool and inspect an upload; the spooled file is gone when the block ends, unless it was adopted."""
    sandbox = SandboxLimits(
        max_memory_bytes=settings.inspect_memory_bytes,
        max_cpu_seconds=int(settings.inspect_cpu_seconds),
        max_wall_seconds=settings.inspect_timeout_seconds,
    )
    with storage.receive() as path:
        stored = storage.spool(upload, path, limit=settings.max_upload_bytes, limit_name="upload bytes")
        # Hashed while it was written: the child need not read the whole file again.
        report = inspect_in_child(path, sandbox=sandbox, name=name, with_sha256=False)
        yield ReadUpload(path, stored, replace(report, sha256=stored.sha256))
