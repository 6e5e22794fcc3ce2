"""A strict zip reader: the tail, the central directory, and only the members that are asked for.

Loose readers differ in which of two answers they take, and hostile files live on that difference. So every
disagreement is a finding: local against central headers, two directories, duplicates, overlaps, bytes before,
between and after. Fields: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local), .12 (central), .14 (zip64), .16 (end).
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from app.checkpoint.directory import Directory, Member, find_directory, parse_members
from app.checkpoint.findings import Findings
from app.checkpoint.inflated import InflatedSource
from app.checkpoint.limits import Meter
from app.checkpoint.local_header import ENCRYPTED, LOCAL_SIZE, MOST_LOCAL, read_local
from app.checkpoint.source import BytesSource, PartSource, Source, Span
from app.errors import LimitExceeded, UnreadableCheckpoint

STORED, DEFLATED = 0, 8
_RATIO_FLOOR = 64 * 1024
_MOST_DESCRIPTOR = 24
_MOST_GAP = 192
"""Alignment to 64 bytes, the head of its extra field, and a data descriptor stay below this."""
_USUAL_EXTRA = 72
_MOST_PREFETCHED = 1 << 20
_NESTED_END = 3 * 1024
"""Of an archive within this one: the pickle at its start, or the directory at its end, of some 40 records; more costs a request."""
_HELD_WHOLE = 8 << 20
"""A deflated member that is larger is decompressed as it is read."""
_WEIGHTS_RATIO = 8
"""What weights compress to at most: what unfolds to more is held whole, within the budgets of memory."""


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
        self.meter.check("max_member_bytes", max(member.size, member.packed))
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
        """A member as a source of its own: in place where it is stored, else decompressed, a large one as it is read."""
        member = self.members[name]
        if member.method == STORED:
            return self._part(member)
        is_weights = _HELD_WHOLE < member.size <= _WEIGHTS_RATIO * member.packed
        return (
            self._stream(member) if is_weights and member.method == DEFLATED else BytesSource(self.read(name))
        )

    def place(self, name: str) -> Span:
        """Where a stored member's bytes begin in the source, and how many they are; for copying them.

        Raises UnreadableCheckpoint where it is compressed.
        """
        member = self.members[name]
        if member.method != STORED:
            raise self._error(name, "it is compressed", "torch.save stores")
        part = self._part(member)
        return part.start, part.size

    def at(self, name: str) -> str:
        """The location of a member, for findings."""
        return f"{self.location}{name}"

    def prefetch(self, names: Iterable[str]) -> None:
        """Fetch these members' headers and bytes ahead, in as few requests as can be."""
        self.source.prefetch(self._span(self.members[name]) for name in names)

    def prefetch_archives(self, names: Iterable[str], *, beside: Iterable[str] = ()) -> None:
        """Where a read is a request: fetch members and both ends of archives within this one, pickles first and directories last."""
        if self.source.is_local:
            return
        spans = [self._span(self.members[name]) for name in beside]
        for member in (self.members[name] for name in names):
            start = self.directory.shift + member.offset
            end = start + LOCAL_SIZE + len(member.raw_name) + member.packed
            spans += [(start, _NESTED_END), (max(start, end - _NESTED_END), _NESTED_END + _USUAL_EXTRA)]
        self.source.prefetch(spans)

    def check_headers(self) -> bool:
        """Have every local header compared with the directory, weights' records included; False where it would cost requests.

        As the file is hashed, or by one small read each where it is local.
        """
        ordered = sorted(self.members.values(), key=lambda member: member.offset)
        ends = [*(member.offset for member in ordered[1:]), self.directory.start]
        for member, end in zip(ordered, ends, strict=False):
            look = partial(self._check_header, member=member, end=end)
            if self.source.when_passed(self.directory.shift + member.offset, MOST_LOCAL, look):
                continue
            if not self.source.is_local:
                return False
            look(self.source)
        return True

    def _check_header(self, source: Source, member: Member, end: int) -> None:
        try:
            start = read_local(
                source, self.directory.shift, member, self.findings, self.location, with_extra=False
            )
        except UnreadableCheckpoint as error:
            self.findings.add("header_mismatch", "high", self.at(member.name), error.detail)
            return
        if member.method == STORED and member.size != member.packed:
            text = f"stored, yet {member.packed:,} bytes are to become {member.size:,}"
            self.findings.add("header_mismatch", "high", self.at(member.name), text)
        self._check_room(member, start - self.directory.shift + member.packed, end)

    def _check_room(self, member: Member, data_end: int, next_start: int) -> None:
        """What lies between a member's bytes and what follows may be its data descriptor, no more."""
        if data_end > next_start:
            text = "it overlaps what follows it, so the same bytes serve as two things"
            self.findings.add("overlapping_member", "high", self.at(member.name), text)
        elif next_start - data_end > _MOST_DESCRIPTOR:
            text = f"{next_start - data_end:,} bytes after it belong to no member"
            self.findings.add("hidden_bytes", "medium", self.at(member.name), text)

    def _span(self, member: Member) -> tuple[int, int]:
        length = LOCAL_SIZE + len(member.raw_name) + _USUAL_EXTRA + member.packed
        return self.directory.shift + member.offset, min(length, _MOST_PREFETCHED)

    def _part(self, member: Member) -> PartSource:
        start = read_local(self.source, self.directory.shift, member, self.findings, self.location)
        if member.method == STORED and member.size != member.packed:
            text = f"stored, yet {member.packed:,} bytes are to become {member.size:,}"
            raise self._error(member.name, text, "")
        return PartSource(self.source, start, member.packed)

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

    def _stream(self, member: Member) -> InflatedSource:
        start = read_local(self.source, self.directory.shift, member, self.findings, self.location)
        packed = PartSource(self.source, start, member.packed)

        def finish(crc: int, wrong: str) -> None:
            if wrong:
                raise self._error(member.name, wrong, "")
            if crc != member.crc:
                text = "its bytes do not match their checksum"
                self.findings.add("bad_crc", "high", self.at(member.name), text)

        return InflatedSource(packed, member.size, self.meter, finish)

    def _error(self, name: str, why: str, hint: str) -> UnreadableCheckpoint:
        return UnreadableCheckpoint(f"{self.at(name)}: {why}", hint=hint, pointer=self.at(name))


def open_archive(source: Source, meter: Meter, findings: Findings, location: str = "") -> Archive:
    """Read a zip's directory, and where that costs no requests all local headers; notes what is odd.

    Raises UnreadableCheckpoint where there is no directory or a member is encrypted.
    """
    meter.spend("max_archives")
    directory = find_directory(source, meter, findings, location)
    members = parse_members(source, directory, meter, findings, location)
    _check_layout(members, directory, findings, location)
    by_name: dict[str, Member] = {}
    folded: set[str] = set()
    for member in members:
        if member.flags & ENCRYPTED:
            where = f"{location}{member.name}"
            hint = "a checkpoint without a password"
            raise UnreadableCheckpoint(f"{where}: it is encrypted", hint=hint, pointer=where)
        if member.name.lower() in folded:  # torch finds members without regard to case
            text = "two members have this name: which one counts depends on the reader"
            findings.add("duplicate_member", "high", f"{location}{member.name}", text)
        folded.add(member.name.lower())
        by_name[member.name] = member
    archive = Archive(source, directory, by_name, meter, findings, location)
    if not archive.check_headers():
        text = "the file is remote: of the local headers only those of members that were read are compared"
        findings.add("headers_not_compared", "info", location, text)
    return archive


def _check_layout(members: list[Member], directory: Directory, findings: Findings, location: str) -> None:
    """Members must not overlap, nor pass into the directory, nor leave room for something else."""
    if not members:
        return
    ordered = sorted(members, key=lambda member: member.offset)
    ends = [member.offset for member in ordered[1:]] + [directory.start]
    for member, end in zip(ordered, ends, strict=True):
        least = member.offset + LOCAL_SIZE + len(member.raw_name) + member.packed
        if least > end:
            text = "it overlaps what follows it, so the same bytes serve as two things"
            findings.add("overlapping_member", "high", f"{location}{member.name}", text)
        elif end - least > _MOST_GAP:
            text = f"{end - least:,} bytes around it belong to no member"
            findings.add("hidden_bytes", "medium", f"{location}{member.name}", text)
    first = ordered[0].offset
    if first > 0:
        findings.add("leading_bytes", "medium", location, f"{first:,} bytes stand before the first member")
