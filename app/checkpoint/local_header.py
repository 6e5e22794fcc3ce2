"""A zip member's local header, held against the directory's entry: readers that trust one see another file.

Fields: PKWARE APPNOTE 6.3.10, section 4.3.7.
"""

import struct

from app.checkpoint.directory import Member, extra_field
from app.checkpoint.findings import Findings
from app.checkpoint.source import Source
from app.errors import UnreadableCheckpoint

LOCAL_SIZE = 30
MOST_LOCAL = LOCAL_SIZE + 2 * 0xFFFF
"""A header with the longest name and the longest extra field."""
ENCRYPTED = 0x2041  # bits 0, 6 and 13: encrypted, strongly encrypted, masked headers
_DESCRIPTOR, _UTF8 = 0x8, 0x800
_FULL32 = 0xFFFFFFFF
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075


def read_local(
    source: Source, shift: int, member: Member, findings: Findings, location: str, *, with_extra: bool = True
) -> int:
    """Where the member's bytes begin; every disagreement with the directory is a finding.

    Without `with_extra` the extra fields are read only where they hold the sizes. Raises UnreadableCheckpoint
    where no local header stands.
    """
    start, at = shift + member.offset, f"{location}{member.name}"
    most = LOCAL_SIZE + len(member.raw_name)
    if start + most > source.size:
        raise UnreadableCheckpoint(f"{at}: its local header passes the end of the file", pointer=at)
    data = source.read_at(start, most)
    if data[:4] != b"PK\x03\x04":
        text = f"{at}: no local header stands where the directory says"
        raise UnreadableCheckpoint(text, pointer=at)
    lengths: tuple[int, int] = struct.unpack("<HH", data[26:30])
    name_length, extra_length = lengths
    if name_length != len(member.raw_name):
        data = data[:LOCAL_SIZE] + source.read_at(start + LOCAL_SIZE, name_length)
    extra_at = start + LOCAL_SIZE + name_length
    extra = source.read_at(extra_at, extra_length) if with_extra or _has_wide_sizes(data) else b""
    wrong = _lies(member, data, extra)
    if wrong:
        text = f"local and central header disagree on {', '.join(wrong)}: readers see different files"
        findings.add("header_mismatch", "high", at, text)
    return extra_at + extra_length


def _has_wide_sizes(data: bytes) -> bool:
    return _FULL32 in struct.unpack("<II", data[18:26])


def _lies(member: Member, data: bytes, extra: bytes) -> list[str]:
    """The fields in which local and central header differ; with a descriptor, a local 0 says nothing."""
    flags, method = struct.unpack("<HH", data[6:10])
    crc, packed, size = struct.unpack("<III", data[14:26])
    wide = extra_field(extra, _ZIP64)
    if len(wide) >= 16:
        size = int.from_bytes(wide[:8], "little") if size == _FULL32 else size
        packed = int.from_bytes(wide[8:16], "little") if packed == _FULL32 else packed
    silent = (0,) if flags & _DESCRIPTOR else ()
    named = not member.raw_name.isascii()
    checks = [
        ("name", data[LOCAL_SIZE:] == member.raw_name),
        ("name's encoding", not named or not (flags ^ member.flags) & _UTF8),
        ("second name", not extra_field(extra, _UNICODE_PATH)),
        ("method", method == member.method),
        ("encryption", not (flags ^ member.flags) & ENCRYPTED),
        ("checksum", crc in (member.crc, *silent)),
        ("packed size", packed in (member.packed, *silent)),
        ("size", size in (member.size, *silent)),
    ]
    return [what for what, holds in checks if not holds]
