"""docs/how-to/own-environment.md: its blocks run one after the other, as in a notebook."""

import os
import subprocess
import sys
from pathlib import Path

from tests.manual.code_blocks import DOCS, read_blocks


def test_the_notebook_on_own_environments_runs(tmp_path: Path) -> None:
    code = "\n\n".join(block.code for block in read_blocks("how-to/own-environment.md", "python"))
    assert code.count("import") >= 5
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(DOCS.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:16]] == [str(update) for update in range(1, 17)]
    assert lines[-1] == "True"
    assert (tmp_path / "drift.pt").stat().st_size == int(lines[-2].split()[0])
