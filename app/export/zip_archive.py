"""Zips of stored members, as plans: torch's own layout of any size, and the plain one of Stable-Baselines3.

Fields: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local), .9 (descriptor), .12 (central), .14 (zip64), .16 (end). What
torch adds is told in app.network.disk.archive_size, which measures this same layout.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.errors import NotExportable
from app.export.checksum import pieces_crc32
from app.export.pieces import Copy, Piece, piece_bytes
from app.network.disk.archive_size import ALIGNMENT, STEM
from app.network.disk.canonical import canonical_tree
from app.network.disk.pickle_size import TensorSpec, torch_pickle

MOST_BYTES = (1 << 32) - 2
"""Largest plain zip: those who load it need no zip64 fields then. torch's has them where they are due."""

_MARK = 0xFFFFFFFF
"""In a field of 32 bits: the number stands in the zip64 field. torch writes that field from this number on."""
_DESCRIBED, _UTF8 = 0x0008, 0x0800
_TORCH_VERSION, _PLAIN_VERSION = 0, 20
_FIRST_DAY = 1 << 5 | 1  # 1980-01-01, so that the same policy gives the same file


@dataclass(frozen=True, slots=True)
class _Member:
    """A member as the directory has it."""

    name: bytes
    flags: int
    version: int
    day: int
    crc32: int
    size: int
    offset: int

    def fields(self, extra: int = 0) -> bytes:
        """What local and central header share, from the version on; `extra` bytes follow the name."""
        size = min(self.size, _MARK)
        day = struct.pack("<HHHHH", self.version, self.flags, 0, 0, self.day)
        return day + struct.pack("<IIIHH", self.crc32, size, size, len(self.name), extra)

    def wide(self, packed: int) -> bytes:
        """The zip64 field: the numbers that need one, of which `packed` is the size as stored; empty where none does."""
        numbers: tuple[int, ...] = (self.size, packed) if self.size >= _MARK else ()
        numbers += (self.offset,) if self.offset >= _MARK else ()
        return struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""


def torch_zip(
    tensors: Mapping[str, tuple[TensorSpec, Copy]], tree: object | None = None
) -> tuple[Piece, ...]:
    """The file that torch.save writes for a dict of tensors; or for a `tree` of plain values, without any."""
    specs = {name: spec for name, (spec, _) in tensors.items()}
    plain = canonical_tree(
        specs if tree is None else tree, lambda spec, _: TensorSpec(spec.shape, spec.dtype)
    )
    records: list[tuple[str, Piece]] = [
        ("data.pkl", torch_pickle(plain)),
        (".format_version", b"1"),
        (".storage_alignment", str(ALIGNMENT).encode()),
        ("byteorder", b"little"),
        *((f"data/{index}", copy) for index, (_, copy) in enumerate(tensors.values())),
        ("version", b"3\n"),
    ]
    checksum = pieces_crc32(piece for _, piece in records)
    records.append((".data/serialization_id", f"{checksum:040d}".encode()))
    pieces: list[Piece] = []
    members: list[_Member] = []
    offset = 0
    for name, piece in records:
        member = _torch_member(name, piece, offset)
        around = _torch_head(member), _torch_tail(member)
        pieces += [around[0], piece, around[1]]
        members.append(member)
        offset += member.size + sum(map(len, around))
    return (*pieces, _directory(members, offset, wide_end=True))


def _torch_member(name: str, piece: Piece, offset: int) -> _Member:
    size = piece_bytes(piece)
    flags = _UTF8 | (_DESCRIBED if size else 0)
    return _Member(f"{STEM}/{name}".encode(), flags, _TORCH_VERSION, 0, pieces_crc32([piece]), size, offset)


def _torch_head(member: _Member) -> bytes:
    """The local header: no sizes but in the zip64 field, and padding up to where the values begin."""
    wide = member.wide(packed=0)
    padding = -(member.offset + 30 + len(member.name) + len(wide) + 4) % ALIGNMENT
    head = b"PK\x03\x04" + struct.pack("<HHHHHIII", 0, member.flags, 0, 0, 0, 0, 0, 0)
    head += struct.pack("<HH", len(member.name), len(wide) + 4 + padding) + member.name + wide
    return head + struct.pack("<2sH", b"FB", padding) + b"Z" * padding


def _torch_tail(member: _Member) -> bytes:
    """The descriptor; there is none behind no values."""
    if not member.size:
        return b""
    sizes = "<IQQ" if member.wide(packed=0) else "<III"
    return b"PK\x07\x08" + struct.pack(sizes, member.crc32, member.size, member.size)


def plain_zip(members: Iterable[tuple[str, tuple[Piece, ...]]]) -> tuple[Piece, ...]:
    """A zip of stored members, their checksums in front. Raises NotExportable past MOST_BYTES."""
    pieces: list[Piece] = []
    listed: list[_Member] = []
    offset = 0
    for name, content in members:
        size = sum(map(piece_bytes, content))
        member = _Member(
            name.encode(), _UTF8, _PLAIN_VERSION, _FIRST_DAY, pieces_crc32(content), size, offset
        )
        _check_size(offset + size)
        head = b"PK\x03\x04" + member.fields() + member.name
        pieces += [head, *content]
        listed.append(member)
        offset += len(head) + size
    directory = _directory(listed, offset, wide_end=False)
    _check_size(offset + len(directory))
    return (*pieces, directory)


def _directory(members: list[_Member], start: int, *, wide_end: bool) -> bytes:
    """The central directory and the end; torch always writes the zip64 end too."""
    entries = b"".join(map(_entry, members))
    count, end = len(members), start + len(entries)
    wide = b""
    if wide_end:
        wide = b"PK\x06\x06" + struct.pack(
            "<QHHIIQQQQ", 44, 0x031E, 45, 0, 0, count, count, len(entries), start
        )
        wide += b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    last = struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), min(start, _MARK), 0)
    return entries + wide + b"PK\x05\x06" + last


def _entry(member: _Member) -> bytes:
    wide = member.wide(packed=member.size)
    rest = struct.pack("<HHHII", 0, 0, 0, 0, min(member.offset, _MARK))
    return (
        b"PK\x01\x02"
        + struct.pack("<H", member.version)
        + member.fields(len(wide))
        + rest
        + member.name
        + wide
    )


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise NotExportable(
            f"the zip would have {size:,} bytes, more than the {MOST_BYTES:,} of one without zip64",
            hint="export it as safetensors",
            limit_name="zip bytes",
            limit=MOST_BYTES,
            actual=size,
        )
