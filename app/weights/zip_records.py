"""Records within zips: torch's own, those nested in stable-baselines3's, and torch.export's raw ones."""

import contextlib
import io
import os
import zipfile

from app.errors import UnreadableCheckpoint
from app.weights.storages import Span, Storages, Window

_LOCAL = b"PK\x03\x04"
_LOCAL_SIZE = 30
_PT2_WEIGHTS = "/data/weights/"


def add_torch_zip(found: Storages, start: int, length: int, prefix: str) -> None:
    """Records `<folder>/data/<key>` of the folder that torch reads: that of the first member."""
    archive = zipfile.ZipFile(io.BufferedReader(Window(found.descriptor, start, length)))
    folder = archive.namelist()[0].partition("/")[0]
    for info in archive.infolist():
        if info.filename.startswith(f"{folder}/data/"):
            found.spans[prefix + info.filename.removeprefix(f"{folder}/data/")] = _span(found, start, info)
        elif info.filename == f"{folder}/byteorder" and info.file_size <= 16:
            found.byteorder = archive.read(info).decode("ascii", "replace")


def add_nested(found: Storages, endings: tuple[str, ...] = (".pth",)) -> None:
    """The torch zips within a zip, as stable-baselines3 has them; their keys begin with the member's name."""
    for info in _members(found):
        if info.filename.endswith(endings):
            span = _span(found, 0, info)
            add_torch_zip(found, span.start, span.length, f"{info.filename}!")


def add_torch_export(found: Storages) -> None:
    """A .pt2 archive: `<stem>/data/weights/<record>` holds raw values or a torch zip of one tensor.

    Before torch 2.9 `serialized_state_dict.pt` was a torch zip with all of them.
    """
    for info in _members(found):
        if _PT2_WEIGHTS in info.filename and not info.filename.endswith(".json"):
            found.spans[info.filename] = span = _span(found, 0, info)
            if os.pread(found.descriptor, 4, span.start) == _LOCAL:
                _try_torch_zip(found, span, info.filename)
    add_nested(found, (".pt", ".pth"))


def _try_torch_zip(found: Storages, span: Span, name: str) -> None:
    """Raw values may begin as a zip does."""
    with contextlib.suppress(zipfile.BadZipFile):
        add_torch_zip(found, span.start, span.length, f"{name}!")


def _members(found: Storages) -> list[zipfile.ZipInfo]:
    size = os.fstat(found.descriptor).st_size
    return zipfile.ZipFile(io.BufferedReader(Window(found.descriptor, 0, size))).infolist()


def _span(found: Storages, start: int, info: zipfile.ZipInfo) -> Span:
    """A member's bytes: behind its local header, whose name and extra field have lengths of their own."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise UnreadableCheckpoint(
            f"{info.filename} is compressed or encrypted", hint="store it: torch.save and SB3 do not compress"
        )
    header = os.pread(found.descriptor, _LOCAL_SIZE, start + info.header_offset)
    if header[:4] != _LOCAL:
        raise UnreadableCheckpoint(f"{info.filename} has no local header")
    name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    return Span(start + info.header_offset + _LOCAL_SIZE + name + extra, info.file_size)
