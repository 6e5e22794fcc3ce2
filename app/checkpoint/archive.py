"""A strict zip reader: the tail, the central directory, and only the members that are asked for.

Loose readers differ in which of two answers they take, and hostile files live on that difference. So every
disagreement is a finding: local against central headers, two directories, duplicates, overlaps, bytes before,
between and after. Fields: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local), .12 (central), .14 (zip64), .16 (end).
"""

import zlib
from dataclasses import dataclass

from app.checkpoint.directory import Directory, Member, find_directory, parse_members
from app.checkpoint.findings import Findings
from app.checkpoint.limits import Meter
from app.checkpoint.source import BytesSource, PartSource, Source
from app.errors import LimitExceeded, UnreadableCheckpoint

LOCAL_SIZE = 30
STORED, DEFLATED = 0, 8
_RATIO_FLOOR = 64 * 1024
_ENCRYPTED = 0x2041  # bits 0, 6 and 13: encrypted, strongly encrypted, masked headers
_DESCRIPTOR = 0x8


@dataclass(slots=True)
class Archive:
    """An open zip: its members by name, in order of the central directory."""

    source: Source
    directory: Directory
    members: dict[str, Member]
    meter: Meter
    findings: Findings
    location: str

    def read(self, name: str) -> bytes:
        """A member's bytes, decompressed, bounded, and checked by CRC."""
        member = self.members[name]
        self.meter.check("max_member_bytes", member.size)
        part = self._part(member)
        if member.method == STORED:
            data = part.read_at(0, part.size)
        elif member.method == DEFLATED:
            data = self._inflate(member, part.read_at(0, part.size))
        else:
            raise self._error(name, f"compression method {member.method} is not read", "store or deflate")
        if zlib.crc32(data) != member.crc:
            self.findings.add("bad_crc", "high", self.at(name), "its bytes do not match their checksum")
        return data

    def open(self, name: str) -> Source:
        """A member as a source of its own: in place where it is stored, else decompressed."""
        member = self.members[name]
        return self._part(member) if member.method == STORED else BytesSource(self.read(name))

    def at(self, name: str) -> str:
        """The location of a member, for findings."""
        return f"{self.location}{name}"

    def _part(self, member: Member) -> PartSource:
        if member.flags & _ENCRYPTED:
            raise self._error(member.name, "it is encrypted", "a checkpoint without a password")
        start = self.directory.shift + member.offset
        header = self.source.read_at(start, LOCAL_SIZE)
        if header[:4] != b"PK\x03\x04":
            raise self._error(member.name, "no local header stands where the directory says", "")
        name_length = int.from_bytes(header[26:28], "little")
        extra_length = int.from_bytes(header[28:30], "little")
        name = self.source.read_at(start + LOCAL_SIZE, name_length)
        self._compare(member, header, name)
        if member.method == STORED and member.size != member.packed:
            text = f"stored, yet {member.packed:,} bytes are to become {member.size:,}"
            raise self._error(member.name, text, "")
        return PartSource(self.source, start + LOCAL_SIZE + name_length + extra_length, member.packed)

    def _compare(self, member: Member, header: bytes, name: bytes) -> None:
        """Local and central header must say the same."""
        flags, method = int.from_bytes(header[6:8], "little"), int.from_bytes(header[8:10], "little")
        crc, packed, size = (int.from_bytes(header[at : at + 4], "little") for at in (14, 18, 22))
        lies = [
            ("name", name != member.raw_name),
            ("method", method != member.method),
            ("encryption", (flags ^ member.flags) & _ENCRYPTED != 0),
        ]
        if not flags & _DESCRIPTOR:
            lies += [("checksum", crc != member.crc)]
            lies += [("packed size", packed not in (member.packed, 0xFFFFFFFF))]
            lies += [("size", size not in (member.size, 0xFFFFFFFF))]
        wrong = [what for what, differs in lies if differs]
        if wrong:
            text = f"local and central header disagree on {', '.join(wrong)}: readers see different files"
            self.findings.add("header_mismatch", "high", self.at(member.name), text)

    def _inflate(self, member: Member, packed: bytes) -> bytes:
        ratio, limits = member.size / max(1, len(packed)), self.meter.limits
        if member.size > _RATIO_FLOOR and ratio > limits.max_ratio:
            raise LimitExceeded(
                "max_ratio", limit=limits.max_ratio, actual=round(ratio), pointer=self.at(member.name)
            )
        self.meter.spend("max_read_bytes", member.size)
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = machine.decompress(packed, member.size + 1)
        except zlib.error as error:
            raise self._error(member.name, f"its compressed bytes are damaged ({error})", "") from None
        if len(data) != member.size or not machine.eof:
            raise self._error(
                member.name, f"it does not decompress to the {member.size:,} bytes that it declares", ""
            )
        return data

    def _error(self, name: str, why: str, hint: str) -> UnreadableCheckpoint:
        return UnreadableCheckpoint(f"{self.at(name)}: {why}", hint=hint, pointer=self.at(name))


def open_archive(source: Source, meter: Meter, findings: Findings, location: str = "") -> Archive:
    """Read a zip's directory; raises UnreadableCheckpoint where there is none, notes what is odd."""
    meter.spend("max_archives")
    directory = find_directory(source, meter, findings, location)
    members = parse_members(source, directory, meter, findings, location)
    _check_layout(members, directory, findings, location)
    by_name: dict[str, Member] = {}
    folded: set[str] = set()
    for member in members:
        if member.name.lower() in folded:  # torch finds members without regard to case
            text = "two members have this name: which one counts depends on the reader"
            findings.add("duplicate_member", "high", f"{location}{member.name}", text)
        folded.add(member.name.lower())
        by_name[member.name] = member
    return Archive(source, directory, by_name, meter, findings, location)


def _check_layout(members: list[Member], directory: Directory, findings: Findings, location: str) -> None:
    """Members must not overlap, nor pass into the directory."""
    if not members:
        return
    ordered = sorted(members, key=lambda member: member.offset)
    ends = [member.offset for member in ordered[1:]] + [directory.start]
    for member, end in zip(ordered, ends, strict=True):
        if member.offset + LOCAL_SIZE + len(member.raw_name) + member.packed > end:
            text = "it overlaps what follows it, so the same bytes serve as two things"
            findings.add("overlapping_member", "high", f"{location}{member.name}", text)
    first = ordered[0].offset
    if first > 0:
        findings.add("leading_bytes", "medium", location, f"{first:,} bytes stand before the first member")
