"""Where the values of a file's storages lie, container by container; only headers are read.

The inspection has judged the file before; here every offset is held against the file's length all the same.
"""

import io
import json
import os
import pickletools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.errors import UnreadableCheckpoint
from app.weights.dtypes import item_bytes

LEGACY_PICKLES = 5
"""Magic number, protocol, system, object, storage keys: then come the storages."""
_LOCAL_SIZE = 30


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file."""

    start: int
    length: int


@dataclass(slots=True)
class Storages:
    """The records behind a file's tensors."""

    descriptor: int
    spans: dict[str, Span] = field(default_factory=dict)
    byteorder: str = "little"
    bytes_read: int = 0

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Bytes of a storage; raises UnreadableCheckpoint where it does not hold them."""
        span = self.spans.get(key)
        if span is None:
            raise UnreadableCheckpoint(f"no record holds the storage {key}")
        if offset < 0 or offset + length > span.length:
            raise UnreadableCheckpoint(f"the storage {key} ends after {span.length:,} bytes")
        data = os.pread(self.descriptor, length, span.start + offset)
        while len(data) < length and (
            more := os.pread(self.descriptor, length - len(data), span.start + offset + len(data))
        ):
            data += more
        if len(data) < length:
            raise UnreadableCheckpoint(f"the file ends within the storage {key}")
        self.bytes_read += length
        return data


def locate_storages(descriptor: int, container: str, dtypes: Mapping[str, str]) -> Storages:
    """Find all storages of a file; `dtypes` are the types of their values by key.

    Raises UnreadableCheckpoint for a container whose values do not lie in records of their own.
    """
    found = Storages(descriptor)
    try:
        if container in ("torch-zip", "torchscript"):
            _add_torch_zip(found, 0, os.fstat(descriptor).st_size, "")
        elif container == "stable-baselines3":
            _add_nested(found)
        elif container == "safetensors":
            _add_safetensors(found)
        elif container == "torch-legacy":
            _add_legacy(found, dtypes)
        else:
            hint = "torch zips, stable-baselines3, safetensors and legacy torch files are"
            raise UnreadableCheckpoint(f"the values of a {container} file are not compared", hint=hint)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, NotImplementedError, EOFError) as error:
        raise UnreadableCheckpoint(f"the records cannot be located: {error}") from None
    return found


class Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        super().__init__()
        self._descriptor, self._start, self._length, self._at = descriptor, start, length, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move within the part."""
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the part goes."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        length = max(0, min(len(view), self._length - self._at))
        data = os.pread(self._descriptor, length, self._start + self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def _add_torch_zip(found: Storages, start: int, length: int, prefix: str) -> None:
    """Records `<folder>/data/<key>` of the folder that torch reads: that of the first member."""
    archive = zipfile.ZipFile(io.BufferedReader(Window(found.descriptor, start, length)))
    folder = archive.namelist()[0].partition("/")[0]
    for info in archive.infolist():
        if info.filename.startswith(f"{folder}/data/"):
            found.spans[prefix + info.filename.removeprefix(f"{folder}/data/")] = _span(found, start, info)
        elif info.filename == f"{folder}/byteorder" and info.file_size <= 16:
            found.byteorder = archive.read(info).decode("ascii", "replace")


def _add_nested(found: Storages) -> None:
    """The torch zips within a stable-baselines3 zip; their keys begin with the member's name."""
    size = os.fstat(found.descriptor).st_size
    archive = zipfile.ZipFile(io.BufferedReader(Window(found.descriptor, 0, size)))
    for info in archive.infolist():
        if info.filename.endswith(".pth"):
            span = _span(found, 0, info)
            _add_torch_zip(found, span.start, span.length, f"{info.filename}!")


def _span(found: Storages, start: int, info: zipfile.ZipInfo) -> Span:
    """A member's bytes: behind its local header, whose name and extra field have lengths of their own."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise UnreadableCheckpoint(
            f"{info.filename} is compressed or encrypted", hint="store it: torch.save and SB3 do not compress"
        )
    header = os.pread(found.descriptor, _LOCAL_SIZE, start + info.header_offset)
    if header[:4] != b"PK\x03\x04":
        raise UnreadableCheckpoint(f"{info.filename} has no local header")
    name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    return Span(start + info.header_offset + _LOCAL_SIZE + name + extra, info.file_size)


def _add_safetensors(found: Storages) -> None:
    length = int.from_bytes(os.pread(found.descriptor, 8, 0), "little")
    if length > 32 << 20:
        raise UnreadableCheckpoint("the header is larger than 32 MiB")
    header = json.loads(os.pread(found.descriptor, length, 8))
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            found.spans[name] = Span(8 + length + first, last - first)


def _add_legacy(found: Storages, dtypes: Mapping[str, str]) -> None:
    """The pickles are stepped over, not run; the last one lists the keys in the order of their storages."""
    size = os.fstat(found.descriptor).st_size
    file = io.BufferedReader(Window(found.descriptor, 0, size))
    keys: list[str] = []
    for _ in range(LEGACY_PICKLES):
        steps = list(pickletools.genops(file))
        keys = [arg for opcode, arg, _ in steps if isinstance(arg, str) and "UNICODE" in opcode.name]
    at = file.tell()
    for key in keys:
        count = int.from_bytes(os.pread(found.descriptor, 8, at), "little")
        length = count * item_bytes(dtypes[key])
        found.spans[key] = Span(at + 8, length)
        at += 8 + length
