"""A process works on the storage that the registry's files lie in, and on no other."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.actions.recognise_storage import recognise_storage, require_same_storage, use_storage
from app.errors import Conflict
from app.registry.artifact_store import choose_store, known_store
from app.registry.database import Database
from app.storage import FolderStorage


@pytest.fixture
def other(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "another")


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "artifacts")


def test_registry_and_storage_are_joined_at_the_first_start(
    database: Database, storage: FolderStorage
) -> None:
    recognise_storage(database, storage)
    mark = storage.read_mark()
    assert mark is not None
    with database.read() as session:
        known = known_store(session)
    assert known is not None
    assert (known.mark, known.is_marked, known.address) == (mark, True, storage.address)
    recognise_storage(database, storage)
    assert storage.read_mark() == mark


def test_several_services_that_start_at_once_agree(database: Database, storage: FolderStorage) -> None:
    with ThreadPoolExecutor(4) as pool:
        starts = [pool.submit(recognise_storage, database, storage) for _ in range(4)]
        assert [start.exception() for start in starts] == [None] * 4
    recognise_storage(database, storage)


def test_a_start_that_died_before_the_mark_is_finished_by_the_next(
    database: Database, storage: FolderStorage
) -> None:
    with database.write() as session:
        chosen = choose_store(session, storage.address).mark
    recognise_storage(database, storage)
    assert storage.read_mark() == chosen


def test_a_start_that_died_after_the_mark_is_finished_by_the_next(
    database: Database, storage: FolderStorage
) -> None:
    with database.write() as session:
        storage.write_mark(choose_store(session, storage.address).mark)
    recognise_storage(database, storage)
    with database.read() as session:
        known = known_store(session)
    assert known is not None
    assert known.is_marked


def test_another_folder_is_refused_in_words(
    database: Database, storage: FolderStorage, other: FolderStorage
) -> None:
    recognise_storage(database, storage)
    for check in (recognise_storage, require_same_storage):
        with pytest.raises(Conflict, match="has no mark") as refused:
            check(database, other)
        assert str(storage.objects.parent) in refused.value.detail
        assert "CALIPER_DATA_DIR" in refused.value.hint
    other.write_mark("storage_of_another")
    with pytest.raises(Conflict, match="has another mark"):
        require_same_storage(database, other)
    require_same_storage(database, storage)


def test_the_storage_of_another_registry_is_refused(database: Database, storage: FolderStorage) -> None:
    storage.write_mark("storage_of_another")
    with pytest.raises(Conflict, match="belongs to another registry"):
        recognise_storage(database, storage)


def test_a_worker_that_is_first_goes_on(database: Database, storage: FolderStorage) -> None:
    require_same_storage(database, storage)
    assert storage.read_mark() is None


def test_whoever_moved_the_files_says_so(
    database: Database, storage: FolderStorage, other: FolderStorage
) -> None:
    recognise_storage(database, storage)
    use_storage(database, other)
    recognise_storage(database, other)
    with pytest.raises(Conflict):
        recognise_storage(database, storage)
    use_storage(database, storage)
    recognise_storage(database, storage)
