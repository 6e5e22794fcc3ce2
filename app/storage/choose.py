"""Which storage the settings ask for."""

from app.settings import Settings
from app.storage.folder import FolderStorage
from app.storage.storage import Storage


def open_storage(settings: Settings) -> Storage:
    """The store that `artifacts_url` names, else the folder in `data_dir`.

    No request is made yet. Raises InvalidInput where the library for stores is not installed.
    """
    if not settings.artifacts_url:
        return FolderStorage(settings.artifacts_dir)
    from app.storage.s3 import S3Storage  # noqa: PLC0415 - its library is an extra

    return S3Storage(settings)
