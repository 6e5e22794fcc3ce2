"""What is known of a stored file: its hash, its size, and which file it is."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from app.errors import NotFound

CHUNK_BYTES = 1 << 20
"""How much is read at once; memory stays flat whatever the file's size."""

Identity = tuple[int | str, int | str]
"""Inode and time of writing, or a store's ETag and time: the same bytes stored again are another file."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the storage."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """A stored file that was looked up."""

    bytes: int
    """Its length."""
    modified: float
    """When it was stored, in epoch seconds."""


def hash_file(path: Path) -> Stored:
    """The hash and the size of a file, read in chunks."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return Stored(digest.hexdigest(), path.stat().st_size)


def split_hash(sha256: str) -> tuple[str, str]:
    """Folder and name of the file with this hash; NotFound for what is no hash: no other name is ever a path."""
    if not _SHA256.fullmatch(sha256):
        raise NotFound(f"{sha256[:80]!r} is no sha256", hint="64 hexadecimal digits")
    return sha256[:2], sha256[2:]


def missing_file(sha256: str) -> NotFound:
    """The error for a file that is not there."""
    hint = "its bytes were deleted or lost; upload it again"
    return NotFound(f"the stored file {sha256} is missing", hint=hint)
