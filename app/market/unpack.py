"""What lies inside an upload: gzip and single-file zip unpacked within a limit, UTF-16 brought to UTF-8."""

import codecs
import gzip
import io
import zipfile
import zlib

from app.errors import LimitExceeded
from app.market.findings import refuse_one

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError)


def unpack(data: bytes, limit: int) -> bytes:
    """The table's own bytes, at most `limit` of them; what is not packed comes back as it is.

    Raises InvalidDataset (E_UNREADABLE) for a damaged archive or one of several files, LimitExceeded for one
    that unpacks to more.
    """
    packed = data[:2] == _GZIP or data[:4] == _ZIP
    if packed:
        data = _unzip(data, limit) if data[:4] == _ZIP else _gunzip(data, limit)
        if data[:2] == _GZIP or data[:4] == _ZIP:
            raise refuse_one("E_UNREADABLE", "the file is packed twice")
    return _to_utf8(data) if data[:2] in _UTF16 else data


def _gunzip(data: bytes, limit: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return _limited(file.read(limit + 1), limit)
    except _DAMAGE as error:
        raise refuse_one("E_UNREADABLE", f"the gzip file is damaged: {str(error)[:100]}") from error


def _unzip(data: bytes, limit: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise refuse_one("E_UNREADABLE", f"the zip archive holds {len(names)} files, one is wanted")
            with archive.open(names[0]) as file:
                return _limited(file.read(limit + 1), limit)
    except _DAMAGE as error:
        raise refuse_one("E_UNREADABLE", f"the zip archive is damaged: {str(error)[:100]}") from error


def _limited(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        hint = f"upload files that unpack to at most {limit:,} bytes"
        raise LimitExceeded(
            "unpacked bytes of bars", limit=limit, actual=len(data), hint=hint, pointer="file"
        )
    return data


def _to_utf8(data: bytes) -> bytes:
    try:
        return data.decode("utf-16").encode()
    except UnicodeError as error:
        raise refuse_one("E_UNREADABLE", "the file begins as UTF-16 text and is none") from error
