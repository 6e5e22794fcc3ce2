"""Give up an upload in parts."""

from app.access import LOCAL, Caller, require_owner
from app.registry.database import Database
from app.registry.uploads import drop_uploads, find_upload
from app.storage import Storage


def discard_upload(database: Database, storage: Storage, upload_id: str, caller: Caller = LOCAL) -> None:
    """Forget the upload and its bytes; a checkpoint that it became stays. Raises NotFound, Forbidden (another key's)."""
    with database.write() as session:
        upload = find_upload(session, upload_id)
        require_owner(caller, upload.key_id, f"the upload {upload.id}")
        drop_uploads(session, [upload.id])
    storage.uploads.drop(upload.id)
