"""Append a part to an upload: at the byte where the last one ended, one writer at a time.

What has arrived is the length of the upload's file: it survives a restart of the service, and a connection
that breaks in the midst of a part loses nothing that came before.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.errors import Conflict, LimitExceeded
from app.registry.database import Database
from app.registry.tables import Upload
from app.registry.uploads import expiry, find_upload
from app.settings import Settings
from app.storage import Storage


class Part:
    """A part on its way to an upload's file, which it holds until it is closed."""

    def __init__(self, upload: Upload, file: BinaryIO, offset: int) -> None:
        self.upload = upload
        self.start = offset
        self.received = offset
        self._file = file

    def write(self, data: bytes) -> None:
        """Append; a part that passes the upload's end is dropped whole with LimitExceeded."""
        if self.received + len(data) > self.upload.bytes:
            actual = self.received + len(data)
            self._file.truncate(self.start)
            self.received = self.start
            hint = f"the part was dropped; {self.start:,} bytes have arrived"
            raise LimitExceeded("bytes of the upload", limit=self.upload.bytes, actual=actual, hint=hint)
        self._file.write(data)
        self.received += len(data)

    def close(self) -> None:
        """Bring the bytes to the disk and let the file go."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def continue_upload(
    database: Database, storage: Storage, settings: Settings, upload_id: str, offset: int
) -> Part:
    """Open an upload for a part that begins at `offset`; the caller closes it.

    Raises NotFound, or Conflict where the part does not begin at the byte that is wanted next, the upload
    is finished, or another request holds it; `received` in the error says where to go on.
    """
    with database.write() as session:
        upload = find_upload(session, upload_id)
        upload.expires_at = expiry(settings.upload_ttl_seconds)
    _require_open(upload)
    file = lock_file(storage.waiting(upload.id))
    received = file.seek(0, os.SEEK_END)
    if offset != received:
        file.close()
        raise _misplaced(offset, received)
    return Part(upload, file, received)


@contextmanager
def hold_upload(storage: Storage, upload: Upload) -> Iterator[Path]:
    """The file of an upload that is whole, held against writers. Raises Conflict where bytes are missing."""
    path = storage.waiting(upload.id)
    with lock_file(path) as file:
        received = file.seek(0, os.SEEK_END)
        if received != upload.bytes:
            raise Conflict(
                f"{received:,} of {upload.bytes:,} bytes have arrived",
                hint=f"PATCH /uploads/{upload.id} with Upload-Offset: {received}",
                received=received,
            )
        yield path


def lock_file(path: Path) -> BinaryIO:
    """An upload's file, opened to append and held until it is closed; Conflict where another request has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        hint = "HEAD says how much has arrived; send one part after the other"
        raise Conflict("another request is writing to this upload", hint=hint) from None
    return file


def received_of(storage: Storage, upload: Upload) -> int:
    """Bytes that have arrived."""
    if upload.checkpoint_id is not None:
        return upload.bytes
    path = storage.waiting(upload.id)
    return path.stat().st_size if path.exists() else 0


def _require_open(upload: Upload) -> None:
    if upload.checkpoint_id is not None:
        raise Conflict(
            "the upload is finished",
            hint=f"it became /checkpoints/{upload.checkpoint_id}",
            received=upload.bytes,
        )


def _misplaced(offset: int, received: int) -> Conflict:
    how = "overlaps what has arrived" if offset < received else "leaves a gap before it"
    return Conflict(
        f"the part begins at byte {offset:,}, which {how}: {received:,} bytes have arrived",
        hint=f"send the part that begins at {received}",
        pointer="Upload-Offset",
        received=received,
    )
