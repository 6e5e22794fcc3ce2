"""Read an uploaded checkpoint behind both walls, and keep nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from app.checkpoint.report import CheckpointReport
from app.checkpoint.sandbox import SandboxLimits, inspect_in_child
from app.settings import Settings
from app.storage import Spool, Storage, Stored

Upload = BinaryIO | Spool
"""A file that was sent: one that was hashed as it arrived is not written again."""


@dataclass(frozen=True, slots=True)
class ReadUpload:
    """An upload on disk, hashed and inspected."""

    path: Path
    stored: Stored
    report: CheckpointReport


def inspect_upload(
    storage: Storage, settings: Settings, upload: Upload, *, name: str, with_statistics: bool = False
) -> CheckpointReport:
    """Report what is in the upload; nothing of it is executed, nothing is kept.

    `with_statistics`: with the hashes of a normaliser's statistics, for a comparison.

    Raises UnreadableCheckpoint, or LimitExceeded for a file over the upload limit or a reading over its budget.
    """
    with read_upload(storage, settings, upload, name=name, with_statistics=with_statistics) as read:
        return read.report


@contextmanager
def read_upload(
    storage: Storage, settings: Settings, upload: Upload, *, name: str, with_statistics: bool = True
) -> Iterator[ReadUpload]:
    """Inspect an upload on disk; what was spooled here is gone when the block ends, unless it was adopted."""
    if isinstance(upload, Spool):
        yield read_file(settings, upload.path, upload.stored, name=name, with_statistics=with_statistics)
        return
    with storage.receive() as path:
        stored = storage.spool(upload, path, limit=settings.max_upload_bytes, limit_name="upload bytes")
        yield read_file(settings, path, stored, name=name, with_statistics=with_statistics)


def read_file(
    settings: Settings, path: Path, stored: Stored, *, name: str, with_statistics: bool = True
) -> ReadUpload:
    """Inspect a file in the child process; it was hashed while it was written and is not read whole again.

    A report that is kept has the hashes of a normaliser's statistics: what it is compared by later.
    """
    report = inspect_in_child(
        path,
        sandbox=sandbox_limits(settings),
        name=name,
        with_sha256=False,
        with_statistics=with_statistics,
    )
    return ReadUpload(path, stored, replace(report, sha256=stored.sha256))


def sandbox_limits(settings: Settings) -> SandboxLimits:
    """What one reading may use."""
    return SandboxLimits(
        max_memory_bytes=settings.inspect_memory_bytes,
        max_cpu_seconds=int(settings.inspect_cpu_seconds),
        max_wall_seconds=settings.inspect_timeout_seconds,
    )
