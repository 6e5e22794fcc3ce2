"""`caliper demo`, the whole of it, as a new user runs it, with a shorter training."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(420)]


def test_the_demo_does_all_that_it_says(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).parent / "caliper"),
        "demo",
        "--timesteps",
        "4096",
        "--data-dir",
        str(tmp_path / "demo"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    predicted, actual = re.findall(r"predicted ([\d,]+) bytes, actual ([\d,]+) bytes", done.stdout)[0]
    assert predicted == actual
    for words in (
        "buy & hold",
        "from config and shapes",
        "no findings",
        "the weights do not load",
        "Where to go next",
    ):
        assert words in done.stdout
    leftovers = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert leftovers.stdout == ""
