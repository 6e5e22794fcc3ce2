"""Files by content: a checkpoint or a dataset lies under its sha256 and nowhere else.

No name that a client gives is ever part of a path.

storage.py   what a storage can do      choose.py   which one the settings ask for
folder.py    one in a folder            s3.py       one in an S3-compatible store, with connect.py, removal.py
spool.py     files that are arriving    cache.py    a store's files on this machine's disk
ahead.py     reading by ranges in order stored.py   what is known of a stored file
uploads.py   parts that wait in files   store_uploads.py   parts that wait in a store
"""

from app.storage.ahead import ReadAhead
from app.storage.choose import open_storage
from app.storage.folder import FolderStorage
from app.storage.spool import INCOMING, UPLOAD_NAME, Spool
from app.storage.storage import Storage
from app.storage.stored import CHUNK_BYTES, Found, Identity, Stored, hash_file
from app.storage.uploads import PartWriter

__all__ = [
    "CHUNK_BYTES",
    "INCOMING",
    "UPLOAD_NAME",
    "FolderStorage",
    "Found",
    "Identity",
    "PartWriter",
    "ReadAhead",
    "Spool",
    "Storage",
    "Stored",
    "hash_file",
    "open_storage",
]
