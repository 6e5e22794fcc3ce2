"""What every storage promises, held by a folder and by a real S3-compatible server."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import S3Server, store_settings

from app.errors import Conflict, LimitExceeded, NotFound
from app.settings import Settings
from app.storage import FolderStorage, Spool, Storage, Stored, open_storage
from app.storage import store_uploads as blocks

UPLOAD = "upload_" + "0" * 22
OTHER = "upload_" + "1" * 22


@pytest.fixture(params=["folder", "store"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A storage of each kind in turn."""
    if request.param == "folder":
        yield FolderStorage(tmp_path / "artifacts")
        return
    server: S3Server = request.getfixturevalue("s3_server")
    yield open_storage(store_settings(server.url, server.new_bucket(), tmp_path))


def put(storage: Storage, content: bytes, name: str = "") -> str:
    with storage.receive() as path:
        stored = storage.spool(io.BytesIO(content), path, limit=1 << 30, limit_name="upload bytes")
        storage.adopt(path, stored, name)
        assert not path.exists()
    return stored.sha256


def read(storage: Storage, sha256: str) -> bytes:
    with storage.local_copy(sha256) as path:
        return path.read_bytes()


@pytest.mark.parametrize(
    "content", [b"weights", b"", b"0123456789" * 2_000_000], ids=["few", "none", "parts"]
)
def test_a_file_is_found_by_its_hash(storage: Storage, content: bytes) -> None:
    sha256 = put(storage, content)
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert storage.find(sha256).bytes == len(content)
    assert read(storage, sha256) == content
    assert set(storage.listed()) == {sha256}
    assert list(storage.incoming.iterdir()) == []


def test_the_same_bytes_are_kept_once(storage: Storage) -> None:
    assert put(storage, b"x") == put(storage, b"x")
    assert len(storage.listed()) == 1


def test_a_file_is_read_by_ranges(storage: Storage) -> None:
    content = bytes(range(256)) * 100
    with storage.ranges(put(storage, content)) as file:
        assert file.size == len(content)
        assert file.read(0, 10) == content[:10]
        assert file.read(300, 1000) == content[300:1300]
        assert file.read(len(content) - 5, 5) == content[-5:]
        assert file.read(7, 0) == b""


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, "", "/" * 64])
def test_no_name_but_a_hash_is_ever_a_path(storage: Storage, name: str) -> None:
    with pytest.raises(NotFound, match="no sha256"):
        storage.find(name)
    with pytest.raises(NotFound, match="no sha256"):
        storage.remove(name)
    for upload in ("../x", "upload_", UPLOAD + "/..", ""):
        with pytest.raises(NotFound, match="no upload"):
            storage.uploads.received(upload)


def test_a_missing_file_is_said_so_and_removing_it_again_is_harmless(
    storage: Storage, tmp_path: Path
) -> None:
    sha256 = put(storage, b"z")
    storage.remove(sha256)
    storage.remove(sha256)
    with pytest.raises(NotFound, match="missing"):
        storage.find(sha256)
    with pytest.raises(NotFound, match="missing"), storage.local_copy(sha256):
        pass
    with pytest.raises(NotFound, match="missing"), storage.ranges(sha256):
        pass
    assert not storage.pin(sha256, tmp_path / "pin")
    assert storage.free_bytes() > 0


def test_an_upload_over_the_limit_stops_and_leaves_nothing(storage: Storage) -> None:
    with pytest.raises(LimitExceeded, match="1,001 exceeds the limit of 1,000"), storage.receive() as path:
        storage.spool(io.BytesIO(b"y" * 1001), path, limit=1000, limit_name="upload bytes")
    assert list(storage.incoming.iterdir()) == []


def test_a_spool_hashes_what_is_written_and_is_gone_unless_adopted(storage: Storage) -> None:
    spool, dropped = Spool(storage.incoming), Spool(storage.incoming)
    for file in (spool, dropped):
        assert file.write(b"first ") == 6
        file.write(b"second")
    stored = spool.stored
    assert stored == Stored(hashlib.sha256(b"first second").hexdigest(), 12)
    assert spool.seek(6) == 6
    assert spool.read() == b"second"
    storage.adopt(spool.path, stored)
    for file in (spool, dropped):
        file.close()
        file.close()
    assert read(storage, stored.sha256) == b"first second"
    assert list(storage.incoming.iterdir()) == []


def test_a_pinned_file_outlives_its_removal(storage: Storage) -> None:
    sha256 = put(storage, b"pinned")
    with storage.receive() as path:
        pin = path.with_name("pin")
        assert storage.pin(sha256, pin)
        storage.remove(sha256)
        assert pin.read_bytes() == b"pinned"


def test_a_file_that_was_stored_again_meanwhile_is_not_removed(storage: Storage) -> None:
    sha256 = put(storage, b"bytes")
    before = storage.listed()
    put(storage, b"bytes")
    assert not storage.remove_if_same(sha256, before[sha256])
    assert read(storage, sha256) == b"bytes"


def test_a_file_that_stayed_as_it_was_is_removed(storage: Storage) -> None:
    sha256 = put(storage, b"bytes")
    (identity,) = storage.listed().values()
    assert not storage.remove_if_same(sha256, ("another", "one"))
    assert storage.remove_if_same(sha256, identity)
    assert not storage.remove_if_same(sha256, identity)
    assert storage.listed() == {}
    assert list(storage.incoming.iterdir()) == []
    assert put(storage, b"bytes") == sha256  # and comes again
    assert read(storage, sha256) == b"bytes"


def test_a_storage_is_marked_once(storage: Storage) -> None:
    assert storage.read_mark() is None
    storage.write_mark("storage_1")
    with pytest.raises(Conflict, match="marked already"):
        storage.write_mark("storage_2")
    assert storage.read_mark() == "storage_1"
    storage.write_mark("storage_2", replace=True)
    assert storage.read_mark() == "storage_2"
    assert storage.listed() == {}


def send(storage: Storage, data: bytes, upload: str = UPLOAD) -> None:
    part = storage.uploads.append(upload)
    part.write(data)
    part.close()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4)


@pytest.mark.usefixtures("small_blocks")
def test_parts_become_one_file(storage: Storage) -> None:
    storage.uploads.begin(UPLOAD)
    assert storage.uploads.received(UPLOAD) == 0
    for data in (b"one", b"and two, which is longer", b"", b"3"):
        send(storage, data)
    whole = b"oneand two, which is longer3"
    assert storage.uploads.received(UPLOAD) == len(whole)
    with storage.uploads.whole(UPLOAD) as path:
        assert path.read_bytes() == whole
    assert storage.uploads.received(UPLOAD) == len(whole)  # nobody took it: it can be finished again
    with storage.uploads.whole(UPLOAD) as path:
        stored = Stored(hashlib.sha256(whole).hexdigest(), len(whole))
        storage.adopt(path, stored)
    assert storage.uploads.received(UPLOAD) == 0
    assert read(storage, stored.sha256) == whole


@pytest.mark.usefixtures("small_blocks")
def test_a_part_that_is_taken_back_leaves_what_came_before(storage: Storage) -> None:
    storage.uploads.begin(UPLOAD)
    send(storage, b"before")
    part = storage.uploads.append(UPLOAD)
    part.write(b"a part of several blocks")
    part.take_back()
    part.close()
    assert storage.uploads.received(UPLOAD) == 6
    send(storage, b"!")
    with storage.uploads.whole(UPLOAD) as path:
        assert path.read_bytes() == b"before!"
        path.write_bytes(b"")  # what is refused is dropped with its bytes
    assert storage.uploads.received(UPLOAD) == 0


@pytest.mark.usefixtures("small_blocks")
def test_of_two_that_write_at_one_place_one_is_refused(storage: Storage) -> None:
    storage.uploads.begin(UPLOAD)
    first = storage.uploads.append(UPLOAD)
    with pytest.raises(Conflict, match="another request is writing"):
        second = storage.uploads.append(UPLOAD)  # a folder refuses here
        first.write(b"first")
        second.write(b"second")  # and a store at the block that is there
    first.close()
    with storage.uploads.whole(UPLOAD) as path:
        assert path.read_bytes() in {b"first", b""}


@pytest.mark.usefixtures("small_blocks")
def test_an_upload_that_is_given_up_is_gone_and_no_other(storage: Storage) -> None:
    for upload in (UPLOAD, OTHER):
        storage.uploads.begin(upload)
        send(storage, b"some bytes", upload)
    storage.uploads.drop(UPLOAD)
    storage.uploads.drop(UPLOAD)
    assert storage.uploads.received(UPLOAD) == 0
    assert storage.uploads.received(OTHER) == 10


def test_an_upload_that_waits_is_swept_once_it_is_old(storage: Storage) -> None:
    storage.uploads.begin(UPLOAD)
    send(storage, b"part")
    storage.sweep(3_600)
    assert storage.uploads.received(UPLOAD) == 4
    storage.sweep(-3_600)
    assert storage.uploads.received(UPLOAD) == 0


def test_a_part_under_way_is_seen(storage: Storage) -> None:
    storage.uploads.begin(UPLOAD)
    assert not storage.uploads.is_written_to(UPLOAD)
    part = storage.uploads.append(UPLOAD)
    part.write(b"x" * (8 << 20))
    assert storage.uploads.is_written_to(UPLOAD)
    part.close()


def test_only_a_store_gives_links(storage: Storage) -> None:
    link = storage.link_for(put(storage, b"linked"), 60)
    assert (link is None) == isinstance(storage, FolderStorage)


def test_the_settings_choose(tmp_path: Path) -> None:
    assert isinstance(open_storage(Settings(data_dir=tmp_path)), FolderStorage)
