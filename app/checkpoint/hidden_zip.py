"""A zip behind another format: the same file is two, by its start and by its end.

Python's zipfile (and so Stable-Baselines3's `load`) and torch.jit.load find a zip by its end alone; torch.load, safetensors
and onnx go by the first bytes. What they take is an end record anywhere in the last bytes, whatever follows it, with a directory where it says. Why that
costs a whole search: docs/decisions/0027-what-passes-anyway.md.
"""

import struct
from typing import Final

from app.checkpoint.directory import CENTRAL, CENTRAL_SIZE, END, END_SIZE, LOCATOR64, LOCATOR_SIZE
from app.checkpoint.findings import Findings
from app.checkpoint.source import Source

SEARCHED: Final = 4_096 + 16 * 4_093
"""Bytes at the end in which a reader finds an end record: zipfile takes one in the last 65,558; miniz (torch.jit.load) goes
back in blocks of 4,096 that overlap by three, and stops once the next would begin 65,557 bytes or more from the end."""

_MOST_RECORDS = 64
"""End records, or what looks like them, that are judged one by one; chance makes one in 60,000 files."""


def look_for_hidden_zip(source: Source, findings: Findings) -> None:
    """Search the end of a file that does not begin as a zip, as it is hashed or by reading it."""
    start = max(0, source.size - SEARCHED)
    length = source.size - start

    def look(passed: Source) -> None:
        if _holds_zip(source, start, passed.read_at(start, length)):
            text = "a zip is hidden behind the start of the file: readers see different files"
            findings.add("polyglot", "high", "", text)

    if not source.when_passed(start, length, look):
        source.prefetch([(start, length)])
        look(source)


def _holds_zip(source: Source, start: int, tail: bytes) -> bool:
    """Whether an end record stands in the tail that some reader takes."""
    at = tail.rfind(END)
    for _ in range(_MOST_RECORDS):
        if at < 0:
            return False
        record = tail[at : at + END_SIZE]
        if len(record) == END_SIZE and (
            _ends_the_file(source, start + at, record) or _leads_to_directory(source, start + at, record)
        ):
            return True
        at = tail.rfind(END, 0, at)
    return at >= 0


def _ends_the_file(source: Source, stands_at: int, record: bytes) -> bool:
    """Whether the record's comment reaches the end exactly: a zip to every reader, be it an empty one."""
    return stands_at + END_SIZE + int.from_bytes(record[20:22], "little") == source.size


def _leads_to_directory(source: Source, stands_at: int, record: bytes) -> bool:
    """Whether a directory stands before the record (zipfile), where it points (miniz), or a zip64 locator says where."""
    size, pointed = struct.unpack("<II", record[12:20])
    before = stands_at - LOCATOR_SIZE
    if before >= 0 and source.read_at(before, 4) == LOCATOR64:
        return True
    places = {place for place in (stands_at - size, pointed) if 0 <= place <= source.size - CENTRAL_SIZE}
    return size >= CENTRAL_SIZE and any(source.read_at(place, 4) == CENTRAL for place in sorted(places))
