"""Uploads in the registry, and the twins and ancestors of checkpoints."""

from datetime import timedelta

import pytest
from factories import make_checkpoint

from app.errors import NotFound
from app.registry.checkpoints import (
    add_checkpoint,
    add_tags,
    ancestors_of,
    delete_checkpoint,
    find_twin,
    labels_of,
)
from app.registry.database import Database, new_id
from app.registry.tables import Upload, utc_now
from app.registry.uploads import (
    add_upload,
    count_open,
    drop_uploads,
    expired_uploads,
    expiry,
    find_open,
    find_upload,
)

SHA = "ab" * 32


def upload(seconds: float = 60, **values: object) -> Upload:
    given = {"id": new_id("upload"), "name": "m", "bytes": 10, "sha256": SHA, "expires_at": expiry(seconds)}
    return Upload(**{**given, **values})


def test_an_upload_is_found_until_it_expires(database: Database) -> None:
    with database.write() as session:
        row = add_upload(session, upload())
        old = add_upload(session, upload(-1))
        assert find_upload(session, row.id).bytes == 10
        with pytest.raises(NotFound, match="there is no upload"):
            find_upload(session, old.id)
        assert [each.id for each in expired_uploads(session)] == [old.id]
        assert count_open(session) == 1
        drop_uploads(session, [old.id])
        assert expired_uploads(session) == []


def test_the_unfinished_upload_of_the_same_file_is_found(database: Database) -> None:
    with database.write() as session:
        stored = add_checkpoint(session, make_checkpoint())
        add_upload(session, upload(checkpoint_id=stored.id))
        add_upload(session, upload(-1))
        add_upload(session, upload(sha256="cd" * 32))
        assert find_open(session, upload()) is None
        row = add_upload(session, upload())
        add_upload(session, upload())
        found = find_open(session, upload())
        assert found is not None
        assert found.id == row.id
        assert find_open(session, upload(name="other")) is None
        assert find_open(session, upload(bytes=11)) is None
        assert utc_now() < found.expires_at <= utc_now() + timedelta(seconds=60)


def test_a_twin_has_name_and_content_and_was_uploaded(database: Database) -> None:
    with database.write() as session:
        add_checkpoint(session, make_checkpoint(name="m", sha256=SHA, kind="final"))
        assert find_twin(session, "m", SHA) is None
        twin = add_checkpoint(session, make_checkpoint(name="m", sha256=SHA, kind="uploaded"))
        found = find_twin(session, "m", SHA)
        assert found is not None
        assert found.id == twin.id
        assert find_twin(session, "n", SHA) is None
        add_tags(session, twin.id, ["b", "a"])
        add_tags(session, twin.id, ["b", "c"])
        assert labels_of(session, [twin.id])[0] == {twin.id: ["a", "b", "c"]}
        delete_checkpoint(session, twin)
        assert find_twin(session, "m", SHA) is None


def test_ancestors_are_followed_through_deleted_ones_and_bounded(database: Database) -> None:
    with database.write() as session:
        line = [add_checkpoint(session, make_checkpoint())]
        for _ in range(3):
            line.append(add_checkpoint(session, make_checkpoint(parent_id=line[-1].id)))
        delete_checkpoint(session, line[1])
        ids = [row.id for row in line]
        assert ancestors_of(session, line[3]) == (ids[2], ids[1], ids[0])
        assert ancestors_of(session, line[3], most=2) == (ids[2], ids[1])
        assert ancestors_of(session, line[0]) == ()
