"""Uploading checkpoints: read behind both walls, kept under their hash, compared, labelled, deleted."""

import dataclasses
import io
import os
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from app.actions.accept_checkpoint import accept_checkpoint
from app.actions.compare_checkpoints import compare_checkpoints, compare_uploads
from app.actions.discard_checkpoint import discard_checkpoint
from app.actions.inspect_upload import inspect_upload
from app.actions.label_checkpoint import label_checkpoint
from app.errors import IdempotencyMismatch, InvalidInput, LimitExceeded, NotFound, UnreadableCheckpoint
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import find_checkpoint, labels_of
from app.registry.database import Database
from app.settings import Settings
from app.storage import FolderStorage


def saved(*widths: int) -> io.BytesIO:
    """A bare state dict of a small actor, as torch.save writes it."""
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    file = io.BytesIO()
    torch.save(nn.Sequential(*layers).state_dict(), file)
    file.seek(0)
    return file


class Exploit:
    def __reduce__(self) -> Any:
        return os.system, ("touch canary-of-accept-checkpoint",)


def hostile() -> io.BytesIO:
    file = io.BytesIO()
    torch.save({"policy_state_dict": Exploit()}, file)
    file.seek(0)
    return file


def accept(
    registry: Database, storage: FolderStorage, settings: Settings, file: io.BytesIO, **options: Any
) -> Any:
    given = {"name": "policy", **options}
    return accept_checkpoint(registry, storage, settings, file, **given).checkpoint


def test_an_upload_is_kept_and_described(
    registry: Database, storage: FolderStorage, settings: Settings
) -> None:
    file = saved(10, 8, 3)
    row = accept(registry, storage, settings, file, tags=["first"])
    assert storage.path(row.sha256).read_bytes() == file.getvalue()
    assert (row.obs_dim, row.hidden_dims, row.parameters) == (10, "8", 115)
    # A bare head's outputs may be one action's choices or several components': not told.
    assert row.action_dim is None
    with registry.read() as session:
        assert find_checkpoint(session, row.id).report["sha256"] == row.sha256
        assert labels_of(session, [row.id])[0] == {row.id: ["first"]}


def test_inspecting_keeps_nothing(registry: Database, storage: FolderStorage, settings: Settings) -> None:
    report = inspect_upload(storage, settings, saved(10, 8, 3), name="theirs.pt")
    assert report.name == "theirs.pt"
    assert report.architecture.obs_dim.value == 10
    with registry.read() as session:
        assert list_checkpoints(session, limit=9) == []
    assert [p for p in settings.artifacts_dir.rglob("*") if p.is_file()] == []


def test_a_hostile_file_is_reported_and_never_run(
    registry: Database,
    storage: FolderStorage,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    row = accept(registry, storage, settings, hostile())
    finding = row.report["findings"][0]
    assert finding["severity"] == "high"
    assert "system" in finding["explanation"]
    assert list(tmp_path.rglob("canary*")) == []


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps({})[:3], saved(4, 2).getvalue()[:200]])
def test_what_is_no_checkpoint_is_refused_and_leaves_nothing(
    registry: Database, storage: FolderStorage, settings: Settings, content: bytes
) -> None:
    with pytest.raises(UnreadableCheckpoint):
        accept(registry, storage, settings, io.BytesIO(content))
    with registry.read() as session:
        assert list_checkpoints(session, limit=9) == []
    assert [p for p in settings.artifacts_dir.rglob("*") if p.is_file()] == []


def test_an_upload_over_the_limit_is_refused(
    registry: Database, storage: FolderStorage, settings: Settings
) -> None:
    small = settings.model_copy(update={"max_upload_bytes": 1024})
    with pytest.raises(LimitExceeded, match="upload bytes"):
        accept(registry, storage, small, saved(10, 8, 3))


def test_one_key_registers_once(registry: Database, storage: FolderStorage, settings: Settings) -> None:
    file = saved(10, 8, 3)
    first = accept(registry, storage, settings, file, idempotency_key="k")
    file.seek(0)
    assert accept(registry, storage, settings, file, idempotency_key="k").id == first.id
    with pytest.raises(IdempotencyMismatch):
        accept(registry, storage, settings, saved(10, 9, 3), idempotency_key="k")


def test_two_checkpoints_are_compared_registered_or_uploaded(
    registry: Database, storage: FolderStorage, settings: Settings
) -> None:
    left, right = (accept(registry, storage, settings, saved(10, width, 3)) for width in (8, 16))
    stored = compare_checkpoints(registry, left.id, right.id)
    uploaded = compare_uploads(
        storage, settings, saved(10, 8, 3), saved(10, 16, 3), names=("policy", "policy")
    )
    assert dataclasses.replace(stored, lineage=uploaded.lineage) == uploaded
    assert not stored.weights_load
    same = compare_checkpoints(registry, left.id, left.id)
    assert same.weights_load
    with pytest.raises(NotFound):
        compare_checkpoints(registry, left.id, "nope")


def test_labels_are_checked_and_moved(registry: Database, storage: FolderStorage, settings: Settings) -> None:
    row = accept(registry, storage, settings, saved(4, 2))
    label_checkpoint(registry, row.id, tags=["a", "b"], aliases=["live"], name="renamed")
    assert label_checkpoint(registry, "live", tags=["c"]).name == "renamed"
    with registry.read() as session:
        assert labels_of(session, [row.id]) == ({row.id: ["c"]}, {row.id: ["live"]})
    for bad in ("", "with space", "checkpoint_1", "x" * 61, "../up"):
        with pytest.raises(InvalidInput, match="cannot be one of the aliases"):
            label_checkpoint(registry, row.id, aliases=[bad])
    with pytest.raises(InvalidInput, match="51 tags"):
        label_checkpoint(registry, row.id, tags=[f"t{i}" for i in range(51)])


def test_bytes_go_with_the_last_checkpoint_that_needs_them(
    registry: Database, storage: FolderStorage, settings: Settings
) -> None:
    file = saved(4, 2)
    first = accept(registry, storage, settings, file)
    file.seek(0)
    second = accept(registry, storage, settings, file, name="the same bytes under another name")
    assert second.id != first.id
    discard_checkpoint(registry, storage, first.id)
    assert storage.path(second.sha256).exists()
    discard_checkpoint(registry, storage, second.id)
    with pytest.raises(NotFound, match="missing"):
        storage.path(second.sha256)
    with pytest.raises(NotFound, match="was deleted"):
        discard_checkpoint(registry, storage, second.id)
