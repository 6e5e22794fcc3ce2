"""Checkpoints that real libraries made, each library in a child process of its own.

A child sees the libraries of requirements-producers.txt, which this process does not. It writes the files, and beside
them `said.json`: what the library's own objects say of each network. Made once a test session.
"""

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.checkpoint.report import CheckpointReport

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Made:
    """One checkpoint, and what the library says that it is."""

    path: Path
    said: dict[str, Any]


Maker = Callable[[str, str], Made]
"""(library, case) -> the checkpoint."""


def make(library: str, home: Path) -> dict[str, Made]:
    """All checkpoints of a library, from the folder where a test process before may have left them."""
    folder = home / library
    folder.mkdir(parents=True, exist_ok=True)
    with (home / f"{library}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "said.json").exists():
            _run(library, folder)
    said = json.loads((folder / "said.json").read_text())
    return {case: Made(folder / entry.pop("file"), entry) for case, entry in said.items()}


def _run(library: str, folder: Path) -> None:
    # Ray would keep a token in the user's home.
    quiet = {"HOME": str(folder), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"{__package__}.make_{library}", str(folder)],
        cwd=ROOT,
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def agrees(report: CheckpointReport, said: Mapping[str, Any], untold: Mapping[str, str]) -> None:
    """Every fact is the library's own, or for `untold` ones undetermined with this reason."""
    facts = report.architecture
    for name, value in said.items():
        fact = getattr(facts, name)
        if name in untold:
            assert (fact.value, fact.basis) == (None, "undetermined"), name
            assert re.search(untold[name], fact.note), fact.note
        else:
            assert fact.value == (tuple(value) if isinstance(value, list) else value), name
