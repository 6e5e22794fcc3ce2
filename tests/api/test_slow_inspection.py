"""A slow inspection holds up nobody: the event loop answers while children read."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from running_service import Service, eventually, is_problem, safetensors_file

from app.api.dependencies import MAX_PARALLEL_READS
from app.checkpoint import sandbox

WAITING = """
import os, pathlib, time
pathlib.Path({folder!r}, f"child-{{os.getpid()}}").touch()
while not pathlib.Path({folder!r}, "go").exists(): time.sleep(0.01)
"""


def test_the_loop_answers_while_files_are_read(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More slow files than may be read at once, and every other operation still answers."""
    folder = tmp_path / "children"
    folder.mkdir()
    monkeypatch.setattr(sandbox, "_START", WAITING.format(folder=str(folder)))
    many = MAX_PARALLEL_READS + 2

    def inspect(_: int) -> httpx.Response:
        content = {"file": ("policy.safetensors", safetensors_file())}
        return httpx.post(f"{service.url}/checkpoints/inspect", files=content, timeout=60, trust_env=False)

    with ThreadPoolExecutor(many) as pool:
        pending = [pool.submit(inspect, at) for at in range(many)]
        try:
            eventually(lambda: len(list(folder.glob("child-*"))) == MAX_PARALLEL_READS)
            assert service.get("/healthz").status_code == 200
            assert service.get("/checkpoints").status_code == 200
            assert (
                service.get(
                    "/estimate", params={"obs_dim": 4, "hidden_dims": "8", "action_dim": 2}
                ).status_code
                < 500
            )
            assert not any(answer.done() for answer in pending)
            assert len(list(folder.glob("child-*"))) == MAX_PARALLEL_READS, "the rest waits its turn"
        finally:
            (folder / "go").touch()
        for answer in pending:
            is_problem(answer.result(), 422, "unreadable_checkpoint")
    assert threading.active_count() < 100


def test_a_child_that_is_killed_for_memory_is_a_503(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_START", "import os; os.kill(os.getpid(), 9)")
    answer = service.post("/checkpoints/inspect", files={"file": ("a.safetensors", safetensors_file())})
    is_problem(answer, 503, "unavailable")


def test_a_child_at_its_limit_is_a_413(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_START", "raise MemoryError")
    answer = service.post("/checkpoints/inspect", files={"file": ("a.safetensors", safetensors_file())})
    assert is_problem(answer, 413, "limit_exceeded")["limit_name"] == "max_memory_bytes"
