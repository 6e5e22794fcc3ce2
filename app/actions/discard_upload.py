"""Give up an upload in parts."""

from app.registry.database import Database
from app.registry.uploads import drop_uploads, find_upload
from app.storage import Storage


def discard_upload(database: Database, storage: Storage, upload_id: str) -> None:
    """Forget the upload and its bytes; a checkpoint that it became stays. Raises NotFound."""
    with database.write() as session:
        upload = find_upload(session, upload_id)
        drop_uploads(session, [upload.id])
    storage.waiting(upload.id).unlink(missing_ok=True)
