"""The strict zip reader against Python's own writer."""

import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.checkpoint.archive import Archive, open_archive
from app.checkpoint.findings import Findings
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.source import BytesSource
from app.errors import LimitExceeded, UnreadableCheckpoint

LOOSE = ReadLimits(max_ratio=10_000)


def opened(data: bytes, limits: ReadLimits = LOOSE) -> Archive:
    return open_archive(BytesSource(data), Meter(limits), Findings(100))


def written(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,9}(/[a-z]{1,9})?", fullmatch=True), st.binary(max_size=300), min_size=1
    ),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_what_is_written_is_read_without_a_finding(members: dict[str, bytes], method: int) -> None:
    archive = opened(written(members, method))
    assert {name: archive.read(name) for name in archive.members} == members
    assert archive.findings.ordered() == ()


def test_forced_zip64_members_are_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(b"data")
    assert opened(file.getvalue()).read("a") == b"data"


def test_a_stored_member_opens_in_place() -> None:
    archive = opened(written({"a": b"0123456789"}))
    assert archive.open("a").read_at(3, 4) == b"3456"


def test_reading_past_a_member_is_refused() -> None:
    with pytest.raises(UnreadableCheckpoint, match="the file has 10"):
        opened(written({"a": b"0123456789"})).open("a").read_at(8, 4)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (ReadLimits(max_members=1), "max_members"),
        (ReadLimits(max_directory_bytes=10), "max_directory_bytes"),
        (ReadLimits(max_archives=0), "max_archives"),
    ],
)
def test_limits_of_the_directory(limits: ReadLimits, name: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        opened(written({"a": b"1", "b": b"2"}), limits)
    assert caught.value.limit_name == name


def test_limits_of_a_member() -> None:
    data = written({"a": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(LimitExceeded, match="max_ratio"):
        opened(data, ReadLimits()).read("a")
    with pytest.raises(LimitExceeded, match="max_member_bytes"):
        opened(data, ReadLimits(max_member_bytes=1000)).read("a")


@pytest.mark.parametrize("cut", [1, 10, 22, 40])
def test_a_torn_archive_is_refused_or_flagged(cut: int) -> None:
    data = written({"a": b"1" * 50, "b": b"2" * 50})[:-cut]
    try:
        archive = opened(data)
    except UnreadableCheckpoint:
        return
    assert archive.findings.any_high()


def test_the_whole_tail_is_read_only_where_a_comment_hides_the_end() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"1" * 100_000)
        archive.comment = b"x" * 60_000
    opened_archive = opened(file.getvalue())
    assert opened_archive.read("a") == b"1" * 100_000
    assert [finding.code for finding in opened_archive.findings.ordered()] == ["archive_comment"]


def test_every_local_header_is_compared_where_the_file_is_local() -> None:
    data = bytearray(written({"a": b"1" * 50, "b": b"2" * 50}))
    data[data.index(b"b2222")] = ord("c")  # the local name, not the directory's
    found = [finding for finding in opened(bytes(data)).findings.ordered() if finding.severity == "high"]
    assert [(finding.code, finding.location) for finding in found] == [("header_mismatch", "b")]
