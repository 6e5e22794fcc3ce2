"""Files lie under their hash and nowhere else."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import LimitExceeded, NotFound
from app.storage import Spool, Storage, Stored, hash_file


def put(storage: Storage, content: bytes) -> str:
    with storage.receive() as path:
        stored = storage.spool(io.BytesIO(content), path, limit=1000, limit_name="upload bytes")
        storage.adopt(path, stored)
    return stored.sha256


def test_a_file_is_found_by_its_hash(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    sha256 = put(storage, b"weights")
    assert sha256 == hashlib.sha256(b"weights").hexdigest()
    assert storage.path(sha256).read_bytes() == b"weights"
    assert hash_file(storage.path(sha256)).sha256 == sha256


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    assert put(storage, b"x") == put(storage, b"x")
    assert len([p for p in (tmp_path / "objects").rglob("*") if p.is_file()]) == 1


def test_an_upload_over_the_limit_stops_and_leaves_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with pytest.raises(LimitExceeded, match="1,001 exceeds the limit of 1,000"):
        put(storage, b"y" * 1001)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_crash_while_receiving_leaves_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with pytest.raises(RuntimeError), storage.receive() as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert not path.exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, "", "/" * 64])
def test_no_name_but_a_hash_is_ever_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match="no sha256"):
        Storage(tmp_path).path(name)


def test_a_missing_file_is_said_so_and_removing_it_again_is_harmless(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    sha256 = put(storage, b"z")
    storage.remove(sha256)
    storage.remove(sha256)
    with pytest.raises(NotFound, match="missing"):
        storage.path(sha256)
    assert storage.free_bytes() > 0


def test_a_spool_hashes_what_is_written_and_is_gone_unless_adopted(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    spool, dropped = Spool(storage.incoming), Spool(storage.incoming)
    for file in (spool, dropped):
        assert file.write(b"first ") == 6
        file.write(b"second")
    digest = hashlib.sha256(b"first second").hexdigest()
    assert spool.stored == Stored(digest, 12)
    assert spool.seek(6) == 6
    assert spool.read() == b"second"
    storage.adopt(spool.path, spool.stored)
    for file in (spool, dropped):
        file.close()
        file.close()
    assert storage.path(digest).read_bytes() == b"first second"
    assert list(storage.incoming.iterdir()) == []


def test_only_uploads_have_a_waiting_place(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    assert storage.waiting("upload_" + "0" * 22).parent == storage.incoming
    for name in ("../x", "upload_", "upload_" + "0" * 22 + "/..", ""):
        with pytest.raises(NotFound):
            storage.waiting(name)


def leave_behind(root: Path) -> None:
    """A process that is killed while it writes a file."""
    code = (
        "import os, sys; from pathlib import Path; from app.storage import Storage\n"
        f"with Storage(Path({str(root)!r})).receive() as path:\n"
        "    path.write_bytes(b'half'); path.with_name('.file.tmp').write_bytes(b'more')\n"
        "    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


def test_what_a_killed_process_left_is_swept_at_once_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    storage = Storage(tmp_path)
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
    storage = Storage(tmp_path)
    waiting = storage.waiting("upload_" + "0" * 22)
    waiting.write_bytes(b"part")
    assert storage.sweep(3_600) == 0
    os.utime(waiting, (0, 0))
    assert storage.sweep(3_600) == 1


def test_a_file_that_was_stored_again_meanwhile_is_not_removed(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    sha256 = put(storage, b"bytes")
    before = storage.listed()
    assert set(before) == {sha256}
    put(storage, b"bytes")
    assert not storage.remove_if_same(sha256, before[sha256])
    assert storage.path(sha256).read_bytes() == b"bytes"
    assert storage.remove_if_same(sha256, storage.listed()[sha256])
    assert not storage.remove_if_same(sha256, before[sha256])
    assert storage.listed() == {}
    assert list(storage.incoming.iterdir()) == []
