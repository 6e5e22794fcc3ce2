"""examples/notebook.py runs from its first cell to its last, on the whole service with a real worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.local import LocalStack
from app.settings import Settings

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.py"


def test_it_is_cells_of_code_and_words() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    cells = text.split("# %%")[1:]
    assert cells[0].startswith(" [markdown]\n# # ")
    assert len([cell for cell in cells if not cell.startswith(" [markdown]")]) >= 7
    compile(text, "notebook.py", "exec")


@pytest.mark.slow
@pytest.mark.xdist_group("journeys")
@pytest.mark.timeout(420)
def test_every_cell_runs(tmp_path: Path, free_port: int) -> None:
    settings = Settings(data_dir=tmp_path / "data", port=free_port, default_tier="cpu")
    with LocalStack(settings) as stack:
        done = subprocess.run(
            [sys.executable, str(NOTEBOOK)],
            cwd=tmp_path,
            env={
                **os.environ,
                "CALIPER_URL": stack.url,
                "TIMESTEPS": "2048",
                "PYTHONPATH": str(NOTEBOOK.parents[1]),
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "2,335 bars, 2009-05-22 to 2018-08-2" in done.stdout
    assert done.stdout.count("policy ") >= 2
    assert "as predicted, to the byte: True" in done.stdout
    assert "the weights do not load" in done.stdout
    assert (tmp_path / "notebook.pt").stat().st_size > 0
