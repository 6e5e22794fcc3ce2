"""The worker's comparing thread: beside the training, in the way of nothing, and gone at once when it is told."""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from running_service import eventually
from structlog.testing import capture_logs

from app.actions.compare_weights import answer_weights_diff, request_weights_diff
from app.checkpoint.inspect import inspect_checkpoint
from app.errors import Unavailable
from app.registry.database import Database, new_id
from app.registry.tables import Checkpoint, WeightsDiff
from app.registry.weights_diffs import find_diff, is_held
from app.settings import Settings
from app.storage import Storage, Stored
from worker import compare
from worker.compare import Comparer

ROOT = Path(__file__).resolve().parents[2]


def register(registry: Database, storage: Storage, file: Path) -> str:
    """Put a file into storage and registry; the checkpoint's id."""
    report = inspect_checkpoint(file, with_sha256=False)
    sha256 = secrets.token_hex(32)  # not its own: nobody here asks for it
    storage.adopt(file, Stored(sha256, file.stat().st_size))
    row = Checkpoint(
        id=new_id("checkpoint"), name=file.name, kind="uploaded", sha256=sha256, bytes=1,
        producer=report.producer, parameters=report.parameters, report=report.plain(),
    )  # fmt: skip
    with registry.write() as session:
        session.add(row)
    return row.id


def ask(registry: Database, left: str, right: str) -> Callable[[], WeightsDiff]:
    """Ask for a comparison; what is returned reads its row."""
    asked = request_weights_diff(registry, left, right).id

    def row() -> WeightsDiff:
        with registry.read() as session:
            return find_diff(session, asked)

    return row


@pytest.fixture
def comparer(settings: Settings, registry: Database) -> Iterator[Comparer]:
    made = Comparer(settings)
    yield made
    made.stop()


@pytest.fixture
def huge(registry: Database, storage: Storage, tmp_path: Path) -> str:
    """A checkpoint whose comparison takes longer than any test: 60 GiB that need no disk."""
    size = 60 << 30
    header = b'{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (size // 4, size)
    with (tmp_path / "huge").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    return register(registry, storage, tmp_path / "huge")


def children() -> list[psutil.Process]:
    """The comparing children of this process."""
    found = []
    for process in psutil.Process().children():
        try:
            if "app.weights.__main__" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_what_is_asked_is_answered_one_after_another(
    comparer: Comparer, registry: Database, storage: Storage, tmp_path: Path
) -> None:
    ids = []
    for value in (1.0, 1.5):
        torch.save({"w": torch.full((4,), value)}, tmp_path / "file")
        ids.append(register(registry, storage, tmp_path / "file"))
    left, right = ids
    before = ask(registry, left, right)
    comparer.start()
    comparer.start()  # Celery says again that it is ready, after each reconnection
    assert sum(thread.name == "caliper-compare" for thread in threading.enumerate()) == 1
    eventually(lambda: before().state == "succeeded")
    after = ask(registry, right, left)
    eventually(lambda: after().state == "succeeded")
    result = before().result
    assert result is not None
    assert result["total"]["relative_change"] == 0.5


def test_a_stop_kills_the_child_and_gives_the_comparison_back(
    comparer: Comparer, registry: Database, huge: str
) -> None:
    row = ask(registry, huge, huge)
    comparer.start()
    (child,) = eventually(children)
    comparer.ask_to_stop()
    eventually(lambda: not child.is_running())
    comparer.stop()
    assert (row().state, row().attempts, row().fence) == ("queued", 0, 1)
    with registry.read() as session:
        assert not is_held(session, row().id)


def test_a_lost_lease_ends_the_child_and_the_answer_is_the_other_worker_s(
    registry: Database, storage: Storage, huge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.actions.compare_weights.RENEW_SECONDS", 0.0)
    row = ask(registry, huge, huge)
    turn = threading.Thread(target=answer_weights_diff, args=(registry, storage))
    turn.start()
    eventually(children)
    with registry.write() as session:  # its lease lapsed meanwhile, and another worker took it
        session.get_one(WeightsDiff, row().id).fence = 2
    turn.join(30)
    assert not turn.is_alive()
    assert children() == []
    assert (row().state, row().fence, row().result) == ("running", 2, None)


def test_a_killed_worker_s_child_does_not_outlive_it(
    registry: Database, settings: Settings, huge: str
) -> None:
    row = ask(registry, huge, huge)
    code = (
        "import time; from app.settings import Settings; from worker.compare import Comparer;"
        f"Comparer(Settings(data_dir={str(settings.data_dir)!r})).start(); time.sleep(600)"
    )
    worker = psutil.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        (child,) = eventually(worker.children)
    finally:
        worker.kill()
        worker.wait()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert (row().state, row().attempts) == ("running", 1)  # until the lease lapses


def test_a_silent_registry_is_told_once_and_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = []

    def away(*_: Any) -> bool:
        turns.append(1)
        if len(turns) == 4:
            raise RuntimeError("a bug")
        raise Unavailable("away")

    monkeypatch.setattr(compare, "answer_weights_diff", away)
    monkeypatch.setattr(compare, "POLL_SECONDS", 0.0)
    with capture_logs() as logs:
        comparer = Comparer(settings)
        comparer.start()
        eventually(lambda: len(turns) > 8)
        comparer.stop()
    assert [entry["log_level"] for entry in logs] == ["warning", "error"]


def test_no_process_is_forked_while_the_thread_is_within_the_registry(registry: Database) -> None:
    """A pool child that Celery forks must not inherit a database driver's locks, held for ever."""
    database = compare._ForkSafeDatabase(str(registry.url))
    inside, leave = threading.Event(), threading.Event()
    left = []

    def hold() -> None:
        with database.read():
            inside.set()
            leave.wait(20)
            left.append(1)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(20)
    threading.Timer(0.2, leave.set).start()
    if (child := os.fork()) == 0:
        os._exit(1 if compare._forking.locked() or not left else 0)
    assert os.waitpid(child, 0)[1] == 0
    thread.join(20)
    assert not compare._forking.locked()
    database.close()


def test_the_celery_main_process_loads_neither_numpy_nor_torch(tmp_path: Path) -> None:
    code = "import sys, worker.main; print([name for name in ('numpy', 'torch', 'polars') if name in sys.modules])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CALIPER_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "CALIPER_DATA_DIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]", done.stdout
