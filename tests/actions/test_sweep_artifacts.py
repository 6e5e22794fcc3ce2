"""Files without a name go, but only after the grace time; whatever a row names stays."""

import io

import pytest
from factories import make_checkpoint, make_dataset

from app.actions.sweep_artifacts import ArtifactSweep
from app.registry.checkpoints import add_checkpoint, delete_checkpoint
from app.registry.database import Database
from app.registry.datasets import add_dataset, delete_dataset
from app.registry.files import BATCH, named_files
from app.storage import FolderStorage


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sweep(registry: Database, storage: FolderStorage, clock: Clock) -> ArtifactSweep:
    return ArtifactSweep(registry, storage, 60, now=clock)


def put(storage: FolderStorage, content: bytes) -> str:
    with storage.receive() as path:
        stored = storage.spool(io.BytesIO(content), path, limit=1000, limit_name="bytes")
        storage.adopt(path, stored)
    return stored.sha256


def test_a_nameless_file_goes_after_the_grace_time(
    sweep: ArtifactSweep, storage: FolderStorage, clock: Clock
) -> None:
    put(storage, b"orphan")
    assert sweep() == 0
    clock.seconds = 59
    assert sweep() == 0
    clock.seconds = 60
    assert sweep() == 1
    assert storage.listed() == {}


def test_a_file_that_gets_its_row_in_time_stays(
    sweep: ArtifactSweep, registry: Database, storage: FolderStorage, clock: Clock
) -> None:
    sha256 = put(storage, b"weights")
    sweep()
    with registry.write() as session:
        add_checkpoint(session, make_checkpoint(sha256=sha256))
    clock.seconds = 600
    assert sweep() == 0
    assert storage.path(sha256).exists()


def test_a_file_that_is_stored_again_is_a_new_one(
    sweep: ArtifactSweep, storage: FolderStorage, clock: Clock
) -> None:
    put(storage, b"bytes")
    sweep()
    clock.seconds = 59
    put(storage, b"bytes")
    sweep()
    clock.seconds = 61
    assert sweep() == 0
    clock.seconds = 121
    assert sweep() == 1


def test_a_deleted_checkpoint_names_nothing_a_deleted_dataset_still_does(
    sweep: ArtifactSweep, registry: Database, storage: FolderStorage, clock: Clock
) -> None:
    weights, bars = put(storage, b"weights"), put(storage, b"bars")
    with registry.write() as session:
        delete_checkpoint(session, add_checkpoint(session, make_checkpoint(sha256=weights)))
        delete_dataset(session, add_dataset(session, make_dataset(file_sha256=bars)).id)
    sweep()
    clock.seconds = 61
    assert sweep() == 1
    assert set(storage.listed()) == {bars}


def test_any_number_of_files_can_be_asked_about(registry: Database) -> None:
    with registry.write() as session:
        add_checkpoint(session, make_checkpoint(sha256="f" * 64))
        hashes = [f"{number:064x}" for number in range(2 * BATCH)] + ["f" * 64]
        assert named_files(session, hashes) == {"f" * 64}
