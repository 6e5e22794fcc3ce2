"""Folders that real libraries saved, the way users meet them: the real command, and a zip of one sent to the service."""

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from running_service import is_problem, running

from app.checkpoint.sandbox import inspect_in_child
from app.errors import UnreadableCheckpoint
from app.registry.database import Database
from app.settings import Settings
from tests.checkpoint.producers.made import Maker, agrees

FOLDERS = {"rllib": "discrete_trained", "elegantrl": "AgentPPO", "pufferlib": "multi_discrete_lstm_folder"}
EXPLOIT = b"cos\nsystem\n(X\x07\0\0\0touch xtR."


def caliper(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from app.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def zipped(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    return file.getvalue()


@pytest.mark.parametrize("library", FOLDERS)
def test_caliper_inspect_reads_a_folder(made: Maker, library: str) -> None:
    checkpoint = made(library, FOLDERS[library])
    done = caliper("inspect", checkpoint.path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    plain = json.loads(done.stdout)
    assert (plain["format"], plain["producer"], plain["sha256"]) == ("folder", library, None)
    for name in ("obs_dim", "hidden_dims", "action_dim"):
        assert plain["architecture"][name]["value"] == checkpoint.said[name]


def test_a_folder_with_a_call_in_it_gives_exit_code_2(made: Maker, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    shutil.copytree(made("rllib", FOLDERS["rllib"]).path, hostile)
    (hostile / "extra.pkl").write_bytes(EXPLOIT)
    done = caliper("inspect", hostile)
    assert done.returncode == 2
    assert "folder by rllib" in done.stdout
    assert "would call os.system('touch x')" in done.stdout
    assert not Path("x").exists()


def test_folders_that_hold_none_are_errors(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    done = caliper("inspect", tmp_path)
    assert done.returncode == 1
    assert "no file of the folder is a checkpoint (it holds: notes.txt)" in done.stderr


@pytest.mark.parametrize("library", FOLDERS)
def test_a_zip_of_a_folder_is_read_behind_the_second_wall(made: Maker, library: str, tmp_path: Path) -> None:
    checkpoint = made(library, FOLDERS[library])
    (tmp_path / "run.zip").write_bytes(zipped(checkpoint.path))
    report = inspect_in_child(tmp_path / "run.zip")
    assert (report.producer, report.format, report.findings) == (library, "zip", ())
    agrees(report, checkpoint.said, {})
    with pytest.raises(UnreadableCheckpoint, match="it is a folder") as caught:
        inspect_in_child(checkpoint.path)
    assert caught.value.hint == "a zip of a checkpoint's folder is read as one file"


def test_the_service_inspects_a_zip_of_a_folder(
    made: Maker, settings: Settings, registry: Database, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile"
    shutil.copytree(made("rllib", FOLDERS["rllib"]).path, hostile)
    (hostile / "extra.pkl").write_bytes(EXPLOIT)
    with running(settings) as service:

        def inspect(content: bytes) -> Any:
            return service.post("/checkpoints/inspect", files={"file": ("run.zip", content)})

        for library, case in FOLDERS.items():
            checkpoint = made(library, case)
            answer = inspect(zipped(checkpoint.path))
            assert answer.status_code == 200, answer.text
            report = answer.json()
            assert (report["format"], report["producer"], report["findings"]) == ("zip", library, [])
            assert report["architecture"]["hidden_dims"]["value"] == checkpoint.said["hidden_dims"]
        found = inspect(zipped(hostile)).json()["findings"]
        assert sorted({f["location"].partition("@")[0] for f in found if f["severity"] == "high"}) == [
            "extra.pkl"
        ]
        notes = tmp_path / "notes"
        notes.mkdir()
        (notes / "notes.txt").write_text("x")
        is_problem(inspect(zipped(notes)), 422, "unreadable_checkpoint")
