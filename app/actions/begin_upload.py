"""Begin an upload in parts: a checkpoint file that may come over a connection that breaks."""

from app.access import LOCAL, Caller
from app.actions.check_quota import check_upload_quota
from app.actions.sweep_uploads import sweep_uploads
from app.errors import CaliperError, LimitExceeded
from app.registry.database import Database, new_id
from app.registry.tables import Upload
from app.registry.uploads import add_upload, count_open, expiry, find_open
from app.settings import Settings
from app.storage import Storage


def begin_upload(  # noqa: PLR0913 - the service's three parts come first
    database: Database,
    storage: Storage,
    settings: Settings,
    *,
    name: str,
    size: int,
    sha256: str | None,
    caller: Caller = LOCAL,
) -> Upload:
    """Make room for a file of `size` bytes; expired uploads are swept first, for their room and their places.

    The same file, by name, size and stated hash, gives the unfinished upload that is there: so a client goes
    on where it was broken off without having kept anything. Raises LimitExceeded for a file that is too large, too many unfinished uploads, or a full disk, QuotaExceeded (the caller's).
    """
    sweep_uploads(database, storage, settings)
    upload = Upload(
        id=new_id("upload"),
        name=name,
        bytes=size,
        sha256=sha256,
        expires_at=expiry(settings.upload_ttl_seconds),
        key_id=caller.key_id,
    )
    if sha256 is not None and (known := _resume(database, settings, upload)) is not None:
        return known
    if size > settings.max_upload_bytes:
        raise LimitExceeded("upload bytes", limit=settings.max_upload_bytes, actual=size, pointer="bytes")
    if size > (free := storage.free_bytes()):
        raise LimitExceeded("free bytes of the storage", limit=free, actual=size, pointer="bytes")
    storage.uploads.begin(upload.id)
    try:
        return _register(database, settings, upload)
    except CaliperError:
        storage.uploads.drop(upload.id)
        raise


def _register(database: Database, settings: Settings, upload: Upload) -> Upload:
    with database.write() as session:
        check_upload_quota(session, settings, upload.key_id, upload.bytes)
        waiting = count_open(session)
        if waiting >= settings.max_open_uploads:
            hint = "finish or delete one, or wait until one expires"
            raise LimitExceeded(
                "unfinished uploads", limit=settings.max_open_uploads, actual=waiting + 1, hint=hint
            )
        return add_upload(session, upload)


def _resume(database: Database, settings: Settings, wanted: Upload) -> Upload | None:
    with database.write() as session:
        upload = find_open(session, wanted)
        if upload is not None:
            upload.expires_at = expiry(settings.upload_ttl_seconds)
        return upload
