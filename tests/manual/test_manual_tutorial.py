"""docs/tutorial.md and docs/how-to/own-features.md: every command is run, on the whole service with a real worker."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_service import eventually

from app.client import Caliper
from app.local import LocalStack
from app.settings import Settings
from tests.manual.code_blocks import DOCS, occurs, read_blocks

ROOT = DOCS.parent
BIN = Path(sys.executable).parent

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(420)]

BEFORE = ("make install\n", ".venv/bin/caliper serve\n")
"""The two blocks that the test has done already: an installation, and a service of its own."""

CLOCK = "clock of the tutorial:"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("data")
    with LocalStack(Settings(data_dir=folder, port=port, default_tier="cpu")) as stack:
        with Caliper(stack.url) as caliper:
            eventually(caliper.workers, 60)
        yield stack.url


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that looks like the clone a reader stands in."""
    for name in ("examples", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(command: list[str], folder: Path, url: str) -> str:
    """What a command says on both streams; it must succeed."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "CALIPER_URL": url, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def tell_seconds(commands: list[str], output: str) -> str:
    """How long each block's commands took, and all of them: `pytest -s` shows it."""
    times = [float(line.split()[-1]) for line in output.splitlines() if line.startswith(CLOCK)]
    took = [after - before for before, after in itertools.pairwise(times)]
    assert len(took) == len(commands)
    rows = [
        f"{seconds:7.1f} s  {code.splitlines()[0][:90]}" for seconds, code in zip(took, commands, strict=True)
    ]
    return "\n".join(
        ["", *rows, f"{sum(took):7.1f} s  all commands of the tutorial, installation and start aside", ""]
    )


def test_the_tutorial_does_what_it_says(service: str, clone: Path) -> None:
    blocks = read_blocks("tutorial.md", "sh", "text")
    assert tuple(block.code for block in blocks[:2]) == BEFORE
    commands = [block.code for block in blocks[2:] if block.language == "sh"]
    assert len(commands) >= 9
    clocked = [f"echo '{CLOCK}' $EPOCHREALTIME\n{code}" for code in [*commands, ""]]
    output = run(["bash", "-c", "set -eo pipefail\n" + "\n".join(clocked)], clone, service)
    sys.stdout.write(tell_seconds(commands, output))
    shown = [block.code for block in blocks if block.language == "text"]
    assert len(shown) >= 3
    assert [text for text in shown if not occurs(text, output)] == []
    assert (clone / "larger.pt").stat().st_size > (clone / "smaller.pt").stat().st_size


def test_own_features_are_trained_on_as_the_guide_says(service: str, clone: Path) -> None:
    blocks = read_blocks("how-to/own-features.md", "sh", "python")
    assert [block.language for block in blocks] == ["python", "sh", "python"]
    for block in blocks:
        shell = block.language == "sh"
        command = ["bash", "-ec", block.code] if shell else [sys.executable, "-c", block.code]
        said = run(command, clone, service)
    # Three features and five values of the account in each of ten bars.
    assert said.split(maxsplit=1)[0] == "80"
    assert "range_share" in said
