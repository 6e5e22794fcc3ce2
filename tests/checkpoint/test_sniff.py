"""What a refusal calls a file."""

import pytest

from app.checkpoint.sniff import describe, looks_like_pickle


@pytest.mark.parametrize(
    ("head", "size", "said"),
    [
        (b"", 0, "an empty file"),
        (b"\x1f\x8b\x08", 3, "a gzip file"),
        (b"\0" * 257 + b"ustar", 512, "a tar file (torch's format before 0.1.10, and some exports)"),
        (b"\0" * 64, 64, "a file of zeros"),
        (b'{"a": 1}', 8, "a text file (JSON)"),
        (b"hello\n", 6, "a text file"),
        (b"\xc3\x28\xff\xff\xff\xff", 6, "a file of unknown kind"),
        (b"GGUF\x03", 5, "a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1", 42, "a Git LFS pointer, not the file itself"),
        (b"\x01\x02\xff\xfe" * 8, 32, "a file of unknown kind"),
    ],
)
def test_describe(head: bytes, size: int, said: str) -> None:
    assert describe(head, size) == said


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b"\x80\x02}q\x00.", True),
        (b"\x80\x05\x95", True),
        (b"\x80\x09", False),
        (b"(dp0\n", True),
        (b"cposix\nsystem\n", True),
        (b"c3\nx\n", False),
        (b"hello", False),
    ],
)
def test_pickles_by_their_first_bytes(head: bytes, is_one: bool) -> None:
    assert looks_like_pickle(head) is is_one
