"""Give up uploads that nobody goes on with."""

from app.registry.database import Database
from app.registry.uploads import drop_uploads, expired_uploads
from app.settings import Settings
from app.storage import Storage

KILLED_AFTER_SECONDS = 3_600.0
"""An incoming file that was not written to for so long has no living process, whatever the uploads' time."""


def sweep_uploads(database: Database, storage: Storage, settings: Settings) -> int:
    """Remove expired uploads with their bytes, and what killed processes left; the number of uploads removed."""
    with database.read() as session:
        expired = [upload.id for upload in expired_uploads(session)]
    if expired:
        for upload_id in expired:
            storage.waiting(upload_id).unlink(missing_ok=True)
        with database.write() as session:
            drop_uploads(session, expired)
    storage.sweep(max(KILLED_AFTER_SECONDS, 2 * settings.upload_ttl_seconds))
    return len(expired)
