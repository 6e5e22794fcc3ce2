"""A zip's end record and central directory, parsed without trust."""

import struct
from contextlib import suppress
from dataclasses import dataclass

from app.checkpoint.findings import Findings
from app.checkpoint.limits import Meter
from app.checkpoint.source import Source
from app.errors import UnreadableCheckpoint

END, END64, LOCATOR64, CENTRAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02"
END_SIZE, END64_SIZE, LOCATOR_SIZE, CENTRAL_SIZE = 22, 56, 20, 46
_TAIL = END_SIZE + 65_535 + LOCATOR_SIZE + END64_SIZE
_NEAR_TAIL = 12 * 1024
"""Enough for the end records, the directory of 180 records, and what torch writes last; the whole 64 KiB of a
comment are read only where one is."""
_ENDS = END_SIZE + LOCATOR_SIZE + END64_SIZE
_NESTED_TAIL = 4 * 1024
"""Of an archive within an archive, of which a file has several: the end records, the directory of 50 records, by ranges."""
_LEAD = 512
"""Read along with a directory: torch's last two records, `version` and `.data/serialization_id`, stand before it."""
_TWO_ENDS = "the zip has more than one end record"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory stands; `start` is relative to the archive, `shift` what precedes it."""

    start: int
    size: int
    entries: int
    shift: int


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the central directory."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def find_directory(source: Source, meter: Meter, findings: Findings, location: str) -> Directory:
    """Find the end record, zip64 included; raises UnreadableCheckpoint where a zip ends without one."""
    tail, tail_start = _tail(source, _near_tail(source, findings, location))
    at = _end_record(tail, findings, location)
    disk, first_disk, here, entries, size, start, _ = struct.unpack("<HHHHIIH", tail[at + 4 : at + END_SIZE])
    if disk or first_disk or here != entries:
        findings.add("split_archive", "high", location, "the archive says that it has several parts")
    stands_at = tail_start + at
    wide = _zip64(source, stands_at, findings, location)
    if wide is not None:
        narrow_then_wide = ((entries, wide[0], _FULL16), (size, wide[1], _FULL32), (start, wide[2], _FULL32))
        if any(narrow not in (large, full) for narrow, large, full in narrow_then_wide):
            findings.add("two_directories", "high", location, "the zip and the zip64 end record disagree")
        (entries, size, start), stands_at = wide[:3], wide[3]
    meter.check("max_directory_bytes", size)
    shift = stands_at - size - start
    if shift < 0:
        raise UnreadableCheckpoint(f"{location}the zip's directory lies outside the file", pointer=location)
    if shift:
        text = f"{shift:,} bytes stand before or within the zip: some readers see another file there"
        findings.add("prepended_data", "high", location, text)
    return Directory(start, size, entries, shift)


def parse_members(
    source: Source, directory: Directory, meter: Meter, findings: Findings, location: str
) -> list[Member]:
    """All entries, in order; raises UnreadableCheckpoint where the directory breaks."""
    where = directory.shift + directory.start
    source.prefetch([(where - _LEAD, _LEAD + directory.size)])
    data = source.read_at(where, directory.size)
    _check_for_second_end(data, source.size - where, findings, location)
    members: list[Member] = []
    at = 0
    while data[at : at + 4] == CENTRAL and at + CENTRAL_SIZE <= len(data):
        meter.spend("max_members")
        member, at, extra = _member(data, at, location)
        _check_name(member, extra, findings, location)
        members.append(member)
    if at != len(data) or len(members) != directory.entries:
        text = f"the directory announces {directory.entries:,} entries, {len(members):,} can be read"
        findings.add("directory_mismatch", "high", location, text)
    return members


def _near_tail(source: Source, findings: Findings, location: str) -> int:
    """Bytes at the end that are read first: where a read costs no request, no more than needed.

    Unless it is hashed, a file's last 12 KiB are read all the same, for another end record among them.
    """
    if not source.is_local:
        return _NESTED_TAIL if location else _NEAR_TAIL
    start = max(0, source.size - _TAIL)

    def look(passed: Source) -> None:
        with suppress(UnreadableCheckpoint):
            _end_record(passed.read_at(start, source.size - start), findings, location)

    return _ENDS if source.when_passed(start, _TAIL, look) or location else _NEAR_TAIL


def _tail(source: Source, near: int) -> tuple[bytes, int]:
    """The file's last bytes and where they begin: a few where the end record stands at the very end."""
    for most in (near, _TAIL):
        start = max(0, source.size - most)
        source.prefetch([(start, source.size - start)])
        tail = source.read_at(start, source.size - start)
        if start == 0 or _ends_exactly(tail):
            break
    return tail, start


def _ends_exactly(tail: bytes) -> bool:
    """Whether an end record stands in the tail whose comment reaches the end."""
    at = tail.rfind(END)
    while at >= 0:
        if at + END_SIZE + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            return True
        at = tail.rfind(END, 0, at)
    return False


def _check_for_second_end(data: bytes, left: int, findings: Findings, location: str) -> None:
    """An end record within the directory, whose comment holds the rest up to the real one."""
    at = data.find(END)
    while 0 <= at <= len(data) - END_SIZE:
        if at + END_SIZE + int.from_bytes(data[at + 20 : at + 22], "little") == left:
            findings.add("two_directories", "high", location, _TWO_ENDS)
        at = data.find(END, at + 1)


def _end_record(tail: bytes, findings: Findings, location: str) -> int:
    """Position in the tail of the end record: the last one whose comment reaches the end."""
    found: list[int] = []
    at = tail.rfind(END)
    while at >= 0 and len(found) < 64:
        if at + END_SIZE <= len(tail):
            found.append(at)
        at = tail.rfind(END, 0, at)
    if not found:
        text = "it begins as a zip but has no directory at its end: the file is cut short"
        raise UnreadableCheckpoint(
            f"{location}{text}", hint="compare its size with the original", pointer=location
        )
    exact = [p for p in found if p + END_SIZE + int.from_bytes(tail[p + 20 : p + 22], "little") == len(tail)]
    if not exact:
        findings.add("trailing_data", "high", location, "bytes follow the end of the zip")
        return found[0]
    others = [p for p in found if p != exact[0] and p > exact[0]]
    if others or len(exact) > 1:
        findings.add("two_directories", "high", location, _TWO_ENDS)
    if tail[exact[0] + 20 : exact[0] + 22] != b"\0\0":
        findings.add("archive_comment", "low", location, "the zip carries a comment")
    return exact[0]


def _zip64(
    source: Source, end_at: int, findings: Findings, location: str
) -> tuple[int, int, int, int] | None:
    """(entries, size, start, position of the zip64 end record), or None where there is no zip64.

    Python takes the record right before its locator, miniz (torch) the one that the locator points at: both
    must be one and the same.
    """
    if end_at < LOCATOR_SIZE:
        return None
    locator = source.read_at(end_at - LOCATOR_SIZE, LOCATOR_SIZE)
    if locator[:4] != LOCATOR64:
        return None
    stands_at = end_at - LOCATOR_SIZE - END64_SIZE
    record = source.read_at(stands_at, END64_SIZE) if stands_at >= 0 else b""
    if record[:4] != END64:
        raise UnreadableCheckpoint("the zip64 end record is not where it must be, right before its locator")
    disk, pointed, disks = struct.unpack("<IQI", locator[4:20])
    parts = struct.unpack("<II", record[16:24])
    here, entries, size, start = struct.unpack("<QQQQ", record[24:56])
    if disk or disks > 1 or any(parts) or here != entries:
        findings.add("split_archive", "high", location, "the archive says that it has several parts")
    if pointed != size + start:
        text = "the zip64 locator points at another end record than the one before it"
        findings.add("two_directories", "high", location, text)
    return entries, size, start, stands_at


def _member(data: bytes, at: int, location: str) -> tuple[Member, int, bytes]:
    flags, method = struct.unpack("<HH", data[at + 8 : at + 12])
    crc, packed, size, name_length, extra_length, comment_length = struct.unpack(
        "<IIIHHH", data[at + 16 : at + 34]
    )
    offset = int.from_bytes(data[at + 42 : at + 46], "little")
    name_at = at + CENTRAL_SIZE
    raw = data[name_at : name_at + name_length]
    extra = data[name_at + name_length : name_at + name_length + extra_length]
    end = name_at + name_length + extra_length + comment_length
    if end > len(data):
        raise UnreadableCheckpoint(f"{location}the zip's directory is cut off", pointer=location)
    packed, size, offset = _widen(extra, packed, size, offset)
    return Member(_decoded(raw, flags), raw, flags, method, crc, packed, size, offset), end, extra


def _decoded(raw: bytes, flags: int) -> str:
    """A name as the flags say that it is encoded; bit 11 stands for UTF-8."""
    if raw.isascii():
        return raw.decode("ascii")
    return raw.decode("utf-8" if flags & 0x800 else "cp437", "backslashreplace")


def _widen(extra: bytes, packed: int, size: int, offset: int) -> tuple[int, int, int]:
    """Replace full 32-bit fields by those of the zip64 extra field (size, packed size, offset, in this order)."""
    wide = extra_field(extra, _ZIP64)
    values = [size, packed, offset]
    for index, value in enumerate(values):
        if value == _FULL32 and len(wide) >= 8:
            values[index], wide = int.from_bytes(wide[:8], "little"), wide[8:]
    return values[1], values[0], values[2]


def extra_field(extra: bytes, wanted: int) -> bytes:
    """The content of an extra field, empty where there is none of this kind."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<HH", extra[at : at + 4])
        if kind == wanted:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def _check_name(member: Member, extra: bytes, findings: Findings, location: str) -> None:
    name, parts = member.name, member.name.split("/")
    odd = ".." in parts or name.startswith("/") or "\\" in name or not name.isprintable() or ":" in name[:3]
    if odd or not name:
        findings.add("odd_name", "medium", f"{location}{name}", "a member's name no honest writer gives")
    if extra_field(extra, _UNICODE_PATH):
        text = "a second name stands in an extra field: readers differ in which one they take"
        findings.add("second_name", "high", f"{location}{name}", text)
