"""Zips of stored members, as plans: torch's own layout, and the plain one of Stable-Baselines3.

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
"""Largest zip without zip64 fields, which no plan here has."""

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

    @property
    def fields(self) -> bytes:
        """What local and central header share, from the version on."""
        day = struct.pack("<HHHHH", self.version, self.flags, 0, 0, self.day)
        sizes = struct.pack("<III", self.crc32, self.size, self.size)
        return day + sizes + struct.pack("<H", len(self.name))


def torch_zip(
    tensors: Mapping[str, tuple[TensorSpec, Copy]], tree: object | None = None
) -> tuple[Piece, ...]:
    """The file that torch.save writes for a dict of tensors; or for a `tree` of plain values, without any.

    Raises NotExportable past MOST_BYTES.
    """
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
        size, raw = piece_bytes(piece), f"{STEM}/{name}".encode()
        member = _Member(raw, _DESCRIBED | _UTF8, _TORCH_VERSION, 0, pieces_crc32([piece]), size, offset)
        padding = -(offset + 30 + len(raw) + 4) % ALIGNMENT
        head = b"PK\x03\x04" + struct.pack("<HHHHHIIIH", 0, member.flags, 0, 0, 0, 0, 0, 0, len(raw))
        head += struct.pack("<H", padding + 4) + raw + struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        tail = b"PK\x07\x08" + struct.pack("<III", member.crc32, size, size)
        pieces += [head, piece, tail]
        members.append(member)
        offset += len(head) + size + len(tail)
    return (*pieces, _directory(members, offset, wide_end=True))


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
        head = b"PK\x03\x04" + member.fields + struct.pack("<H", 0) + member.name
        pieces += [head, *content]
        listed.append(member)
        offset += len(head) + size
    return (*pieces, _directory(listed, offset, wide_end=False))


def _directory(members: list[_Member], start: int, *, wide_end: bool) -> bytes:
    """The central directory and the end; torch always writes the zip64 end too."""
    entries = b"".join(map(_entry, members))
    _check_size(start + len(entries))
    count, end = len(members), start + len(entries)
    wide = b""
    if wide_end:
        wide = b"PK\x06\x06" + struct.pack(
            "<QHHIIQQQQ", 44, 0x031E, 45, 0, 0, count, count, len(entries), start
        )
        wide += b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    return (
        entries + wide + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), start, 0)
    )


def _entry(member: _Member) -> bytes:
    rest = struct.pack("<HHHHII", 0, 0, 0, 0, 0, member.offset)
    return b"PK\x01\x02" + struct.pack("<H", member.version) + member.fields + rest + member.name


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise NotExportable(
            f"the zip would have {size:,} bytes, more than the {MOST_BYTES:,} of one without zip64",
            hint="export it as safetensors",
            limit_name="zip bytes",
            limit=MOST_BYTES,
            actual=size,
        )
