"""One stack per data_dir; what a killed one left behind is found."""

import json
import os
from pathlib import Path

import pytest

from app.errors import Conflict
from app.local.lock import StackLock
from app.local.processes import Process, start_time


def test_the_second_holder_hears_who_was_first(tmp_path: Path) -> None:
    run_dir = tmp_path / "desk" / "run"
    run_dir.mkdir(parents=True)
    first, second = StackLock(run_dir), StackLock(run_dir)
    first.acquire(url="http://127.0.0.1:8400")
    with pytest.raises(Conflict) as caught:
        second.acquire(url="http://127.0.0.1:8401")
    assert caught.value.detail == (
        f"a stack already runs on {tmp_path}/desk, pid {os.getpid()}, at http://127.0.0.1:8400"
    )
    assert "CALIPER_DATA_DIR" in caught.value.hint


def test_a_released_lock_is_free_even_with_a_note_of_its_last_holder(tmp_path: Path) -> None:
    first, second = StackLock(tmp_path), StackLock(tmp_path)
    first.acquire(url="a much longer address than the next one")
    first.release()
    first.release()
    assert (tmp_path / "stack.lock").exists()
    second.acquire(url="b")
    assert json.loads((tmp_path / "stack.lock").read_text()) == {"pid": os.getpid(), "url": "b"}
    second.release()


def test_the_lock_file_is_private(tmp_path: Path) -> None:
    lock = StackLock(tmp_path)
    lock.acquire()
    assert (tmp_path / "stack.lock").stat().st_mode & 0o777 == 0o600
    lock.release()


def test_only_living_children_of_the_same_start_are_leftovers(tmp_path: Path) -> None:
    me = Process(os.getpid(), start_time(os.getpid()) or "")
    lock = StackLock(tmp_path)
    lock.remember(
        {"worker": me, "api": Process(os.getpid(), "another start"), "redis": Process(2**22 + 1, "1")}
    )
    assert StackLock(tmp_path).leftovers() == {"worker": me}
    lock.remember({})
    assert lock.leftovers() == {}


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '{"api": 3}', '{"api": ["x", 1]}', "\udc80"])
def test_a_damaged_note_is_no_leftover(tmp_path: Path, content: str) -> None:
    (tmp_path / "children.json").write_bytes(content.encode(errors="surrogateescape"))
    assert StackLock(tmp_path).leftovers() == {}


def test_no_note_is_no_leftover(tmp_path: Path) -> None:
    assert StackLock(tmp_path).leftovers() == {}
