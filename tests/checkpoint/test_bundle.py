"""Folders and zips of several files."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_safetensors

from app.checkpoint.limits import ReadLimits
from app.errors import UnreadableCheckpoint
from tests.checkpoint.reading import inspect
from tests.checkpoint.real_files import saved


def folder(path: Path) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "a.pt").write_bytes(saved({"w": torch.zeros(2, 3)}))
    (path / "deep/b.pth").write_bytes(saved({"w": torch.zeros(4)}, _use_new_zipfile_serialization=False))
    (path / "c.safetensors").write_bytes(save_safetensors({"w": torch.zeros(5)}))
    (path / "d.pkl").write_bytes(pickle.dumps({"lr": 0.1}))
    (path / "config.json").write_text(json.dumps({"x": 1}))
    (path / "notes.txt").write_text("not read")
    return path


def packed(source: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(source).as_posix())
    return target


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_members_of_every_kind_are_read(tmp_path: Path, form: str) -> None:
    home = folder(tmp_path / "run")
    report = inspect(home if form == "folder" else packed(home, tmp_path / "run.zip"))
    assert (report.format, report.complete, report.findings) == (form, True, ())
    assert {tensor.name: tensor.shape for tensor in report.tensors} == {
        "a.pt.w": (2, 3),
        "deep/b.pth.w": (4,),
        "c.safetensors.w": (5,),
    }
    assert len({tensor.storage for tensor in report.tensors}) == 3
    assert report.bytes.total >= report.bytes.weights == 4 * (6 + 4 + 5)


def test_links_are_not_followed(tmp_path: Path) -> None:
    home = folder(tmp_path / "run")
    secret = tmp_path / "secret.pt"
    secret.write_bytes(saved({"secret": torch.zeros(9)}))
    (home / "link.pt").symlink_to(secret)
    (home / "deep/out").symlink_to(tmp_path)
    assert "secret" not in str(inspect(home).tensors)


def test_a_broken_member_leaves_the_rest(tmp_path: Path) -> None:
    home = folder(tmp_path / "run")
    (home / "a.pt").write_bytes(b"PK\x03\x04 torn")
    report = inspect(home)
    assert not report.complete
    assert [finding.location for finding in report.findings if finding.code == "damaged"] == ["a.pt"]
    assert len(report.tensors) == 2


def test_a_call_in_any_member_is_found(tmp_path: Path) -> None:
    home = folder(tmp_path / "run")
    (home / "deep/x.pkl").write_bytes(b"cos\nsystem\n(X\x02\0\0\0lstR.")
    found = [f for f in inspect(home).findings if f.severity == "high"]
    assert any(f.location.startswith("deep/x.pkl") for f in found)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UnreadableCheckpoint, match=r"no file of the folder is a checkpoint .*notes.txt"):
        inspect(tmp_path)


def test_weights_of_a_member_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "large.pt").write_bytes(saved({"w": torch.zeros(1000, 1000)}))
    report = inspect(tmp_path, limits=ReadLimits(max_member_bytes=100_000, max_read_bytes=100_000))
    assert (report.complete, report.parameters, report.findings) == (True, 1_000_000, ())


def test_members_are_budgeted(tmp_path: Path) -> None:
    home = folder(tmp_path / "run")
    (home / "e.pkl").write_bytes(pickle.dumps({"text": "x" * 500}))
    report = inspect(home, limits=ReadLimits(max_member_bytes=400))
    assert not report.complete
    assert [f.location for f in report.findings if f.code == "limit_exceeded"] == ["e.pkl"]


def test_a_member_that_may_not_be_read_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder(tmp_path / "run")
    opens = Path.open

    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        if path.name == "a.pt":
            raise PermissionError(13, "Permission denied")
        return opens(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    damaged = [f.explanation for f in inspect(home).findings if f.code == "damaged"]
    assert damaged == ["a.pt cannot be opened: Permission denied"]
