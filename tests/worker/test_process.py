"""The trainer as a process: no trainer outlives its supervisor, whenever that dies."""

import os
import subprocess
import sys

import pytest
from running_service import eventually

from app.local.processes import start_time


@pytest.mark.parametrize(("parent", "lives"), [(os.getpid(), True), (1 << 30, False)], ids=["here", "gone"])
def test_a_trainer_whose_supervisor_died_while_it_was_loading_does_not_train(
    parent: int, lives: bool
) -> None:
    code = f"from worker.process import die_with_parent; print(die_with_parent({parent}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == str(lives)


def test_a_trainer_dies_with_its_supervisor() -> None:
    trainer = (
        "import os, sys, time; from worker.process import die_with_parent\n"
        "print(os.getpid(), die_with_parent(os.getppid()), flush=True)\n"
        "time.sleep(60)"
    )
    supervisor = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {trainer!r}], stdout=subprocess.PIPE, text=True)\n"
        "print(child.stdout.readline(), flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    said = subprocess.run([sys.executable, "-c", supervisor], capture_output=True, check=False, text=True)
    assert said.returncode == -9
    pid, asked = said.stdout.split()
    assert asked == "True"
    eventually(lambda: start_time(int(pid)) is None)
