"""Give up uploads that nobody goes on with."""

from app.registry.database import Database
from app.registry.uploads import drop_uploads, expired_uploads, expiry, renew_uploads
from app.settings import Settings
from app.storage import Storage

SWEEP_SECONDS = 60.0
"""Time between two sweeps of a running service; a new upload does not wait for one."""

FORGOTTEN_AFTER_SECONDS = 3_600.0
"""The bytes of an upload that were not added to for so long, and twice the uploads' time, have lost their row."""


def sweep_uploads(database: Database, storage: Storage, settings: Settings) -> int:
    """Remove expired uploads with their bytes, and what killed processes left; the number of uploads removed.

    A part that has been on its way for longer than the uploads' time is still written to: its upload is renewed.
    """
    with database.read() as session:
        expired = [upload.id for upload in expired_uploads(session)]
    if expired:
        written = [upload_id for upload_id in expired if storage.uploads.is_written_to(upload_id)]
        dropped = [upload_id for upload_id in expired if upload_id not in written]
        for upload_id in dropped:
            storage.uploads.drop(upload_id)
        with database.write() as session:
            drop_uploads(session, dropped)
            renew_uploads(session, written, expiry(settings.upload_ttl_seconds))
        expired = dropped
    storage.sweep(max(FORGOTTEN_AFTER_SECONDS, 2 * settings.upload_ttl_seconds))
    return len(expired)
