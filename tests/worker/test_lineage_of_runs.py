"""Which checkpoints come of the same training: real runs, the registry that recorded them, and mere files."""

import io
from typing import Any

import pytest
import torch
from factories import upload_googl

from app.actions.accept_checkpoint import accept_checkpoint
from app.actions.compare_checkpoints import compare_checkpoints
from app.checkpoint.diff import compare_reports
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.lineage import Lineage
from app.registry.attempts import interrupt_job
from app.registry.database import Database
from app.registry.tables import Checkpoint
from app.settings import Settings
from app.storage import FolderStorage
from tests.worker.test_run import Desk, StopAfter


@pytest.fixture
def desk(registry: Database, storage: FolderStorage, settings: Settings) -> Desk:
    upload_googl(registry, storage, settings)
    return Desk(registry, storage, settings)


def relate(desk: Desk, left: Checkpoint, right: Checkpoint) -> Lineage:
    return compare_checkpoints(desk.registry, left.id, right.id).lineage


def run(desk: Desk, **values: Any) -> Checkpoint:
    """The last checkpoint of a whole run."""
    job = desk.submit(**values)
    desk.run(desk.claim(job))
    return desk.checkpoints(job)[0]


def resumed(desk: Desk) -> tuple[Checkpoint, Checkpoint]:
    """Two checkpoints of one job at different steps: where it stopped, and its end after it was resumed."""
    job = desk.submit()
    claim = desk.claim(job)
    desk.run(claim, StopAfter(2))
    (halfway,) = desk.checkpoints(job)
    with desk.registry.write() as session:
        interrupt_job(session, claim.hold, "test")
    desk.run(desk.claim(job))
    return halfway, desk.checkpoints(job)[0]


def upload(desk: Desk, content: bytes, name: str) -> Checkpoint:
    file = io.BytesIO(content)
    return accept_checkpoint(desk.registry, desk.storage, desk.settings, file, name=name).checkpoint


@pytest.mark.slow
def test_every_relation_that_runs_and_files_can_have(desk: Desk) -> None:
    halfway, final = resumed(desk)
    assert (halfway.step, final.step) == (256, 512)
    later = relate(desk, halfway, final)
    assert (later.same, later.relation) == (True, "right_continues_left")
    assert relate(desk, final, halfway).relation == "left_continues_right"
    assert {check.name: check.same for check in later.checks} == {
        "file": False,
        "parents": True,
        "job": True,
        "dataset": True,
    }
    child = run(desk, initial_checkpoint=final.id, seed=3)
    assert relate(desk, final, child).relation == "right_continues_left"
    assert relate(desk, halfway, child).relation == "right_continues_left"
    sibling = run(desk, initial_checkpoint=halfway.id, seed=4)
    assert relate(desk, child, sibling).relation == "common_ancestor"
    stranger = run(desk, seed=5)
    other = relate(desk, final, stranger)
    assert (other.same, other.relation) == (False, "unrelated")
    assert other.explanation == "not the same training, on the same dataset"

    file = desk.storage.path(final.sha256)
    copy = upload(desk, file.read_bytes(), "a copy")
    assert relate(desk, copy, final).relation == "same_file"
    assert relate(desk, copy, child).relation == "right_continues_left"  # by its bytes: it has another id
    assert relate(desk, copy, halfway).relation == "same_job"  # by what the file says of its job

    bare = io.BytesIO()
    torch.save({"actor.0.weight": torch.ones(3, 5)}, bare)
    unknown = relate(desk, upload(desk, bare.getvalue(), "bare"), final)
    assert (unknown.same, unknown.relation) == (None, "unknown")

    reports = [inspect_checkpoint(desk.storage.path(row.sha256)) for row in (final, child)]
    offline = compare_reports(*reports).lineage  # the files name two jobs, and no parents
    assert (offline.same, offline.relation) == (None, "unknown")
    assert "only the registry of both jobs tells" in offline.explanation
