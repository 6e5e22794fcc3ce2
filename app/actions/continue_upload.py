"""Append a part to an upload: at the byte where the last one ended, one writer at a time.

What has arrived survives a restart of the service, and a connection that breaks in the midst of a part loses
nothing that came before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.access import LOCAL, Caller, require_owner
from app.errors import Conflict, LimitExceeded
from app.registry.database import Database
from app.registry.tables import Upload
from app.registry.uploads import expiry, find_upload
from app.settings import Settings
from app.storage import PartWriter, Storage


class Part:
    """A part on its way to an upload."""

    def __init__(self, upload: Upload, writer: PartWriter) -> None:
        self.upload = upload
        self.start = self.received = writer.received
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Append; a part that passes the upload's end is dropped whole with LimitExceeded."""
        self.require_room(len(data))
        self._writer.write(data)
        self.received += len(data)

    def require_room(self, size: int) -> None:
        """Drop the part with LimitExceeded where so many more bytes pass the upload's end."""
        if self.received + size > self.upload.bytes:
            actual = self.received + size
            self._writer.take_back()
            self.received = self.start
            hint = f"the part was dropped; {self.start:,} bytes have arrived"
            raise LimitExceeded("bytes of the upload", limit=self.upload.bytes, actual=actual, hint=hint)

    def close(self) -> None:
        """Make what has arrived last, and let the upload go."""
        self._writer.close()


def continue_upload(
    database: Database,
    storage: Storage,
    settings: Settings,
    upload_id: str,
    offset: int,
    caller: Caller = LOCAL,
) -> Part:
    """Open an upload for a part that begins at `offset`; the caller closes it.

    Raises NotFound, Forbidden (another key's), or Conflict where the part does not begin at the byte that is wanted next, the upload
    is finished, or another request holds it; `received` in the error says where to go on.
    """
    with database.write() as session:
        upload = find_upload(session, upload_id)
        require_owner(caller, upload.key_id, f"the upload {upload.id}")
        upload.expires_at = expiry(settings.upload_ttl_seconds)
    _require_open(upload)
    writer = storage.uploads.append(upload.id)
    if offset != writer.received:
        writer.close()
        raise _misplaced(offset, writer.received)
    return Part(upload, writer)


@contextmanager
def hold_upload(storage: Storage, upload: Upload) -> Iterator[Path]:
    """The file of an upload that is whole, held against writers. Raises Conflict where bytes are missing."""
    _require_whole(upload, storage.uploads.received(upload.id))
    with storage.uploads.whole(upload.id) as path:
        _require_whole(upload, path.stat().st_size)
        yield path


def received_of(storage: Storage, upload: Upload) -> int:
    """Bytes that have arrived."""
    if upload.checkpoint_id is not None:
        return upload.bytes
    return storage.uploads.received(upload.id)


def _require_open(upload: Upload) -> None:
    if upload.checkpoint_id is not None:
        raise Conflict(
            "the upload is finished",
            hint=f"it became /checkpoints/{upload.checkpoint_id}",
            received=upload.bytes,
        )


def _require_whole(upload: Upload, received: int) -> None:
    if received != upload.bytes:
        raise Conflict(
            f"{received:,} of {upload.bytes:,} bytes have arrived",
            hint=f"PATCH /uploads/{upload.id} with Upload-Offset: {received}",
            received=received,
        )


def _misplaced(offset: int, received: int) -> Conflict:
    how = "overlaps what has arrived" if offset < received else "leaves a gap before it"
    return Conflict(
        f"the part begins at byte {offset:,}, which {how}: {received:,} bytes have arrived",
        hint=f"send the part that begins at {received}",
        pointer="Upload-Offset",
        received=received,
    )
