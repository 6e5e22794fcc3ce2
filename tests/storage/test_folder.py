"""What is a folder's alone: what killed processes leave, and which file lies in a place."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import NotFound
from app.storage import FolderStorage, Spool


def put(storage: FolderStorage, content: bytes) -> str:
    with storage.receive() as path:
        stored = storage.spool(io.BytesIO(content), path, limit=1000, limit_name="upload bytes")
        storage.adopt(path, stored)
    return stored.sha256


def test_a_crash_while_receiving_leaves_nothing(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    with pytest.raises(RuntimeError), storage.receive() as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert not path.exists()


def test_the_same_bytes_stored_again_are_another_file(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    sha256 = put(storage, b"bytes")
    before = storage.listed()
    put(storage, b"bytes")
    assert storage.listed()[sha256] != before[sha256]
    assert len([p for p in (tmp_path / "objects").rglob("*") if p.is_file()]) == 1


def test_a_file_deleted_right_after_it_was_seen_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a job's worker does to its older checkpoints while they are listed, backed up or downloaded."""
    storage = FolderStorage(tmp_path)
    sha256 = put(storage, b"bytes")
    storage.remove(sha256)
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    with pytest.raises(NotFound, match="missing"):
        storage.find(sha256)
    with pytest.raises(NotFound, match="missing"), storage.ranges(sha256):
        raise AssertionError


def leave_behind(root: Path) -> None:
    """A process that is killed while it writes a file."""
    code = (
        "import os, sys; from pathlib import Path; from app.storage import FolderStorage\n"
        f"with FolderStorage(Path({str(root)!r})).receive() as path:\n"
        "    path.write_bytes(b'half'); path.with_name('.file.tmp').write_bytes(b'more')\n"
        "    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


def test_what_a_killed_process_left_is_swept_at_once_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    storage = FolderStorage(tmp_path)
    leave_behind(tmp_path)
    (left,) = storage.incoming.iterdir()
    assert len(list(left.iterdir())) == 3  # the file, a temporary one, the lock
    (storage.incoming / "never-locked").mkdir()
    spool = Spool(storage.incoming)
    with storage.receive() as path:
        path.write_bytes(b"whole")
        assert storage.sweep(3_600) == 1
        assert path.read_bytes() == b"whole"
        assert spool.path.exists()
        assert {entry.name for entry in storage.incoming.iterdir()} == {path.parent.name, spool.path.name}
    spool.close()
    assert list(storage.incoming.iterdir()) == []


def test_an_unfinished_upload_waits_without_a_writer(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    waiting = storage.waiting("upload_" + "0" * 22)
    waiting.write_bytes(b"part")
    assert storage.sweep(3_600) == 0
    os.utime(waiting, (0, 0))
    assert storage.sweep(3_600) == 1
