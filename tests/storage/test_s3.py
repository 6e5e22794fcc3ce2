"""What is a store's alone: parts, copies, links, and removals that race with adoptions."""

import hashlib
import io
import threading
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import obstore
import pytest
from s3_server import SECRET, S3Server, store_settings

from app.errors import StoreUnavailable
from app.storage import removal
from app.storage.s3 import PART_BYTES, S3Storage

LARGE = bytes(range(256)) * (3 * PART_BYTES // 256) + b"and a little more"


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def storage(s3_server: S3Server, bucket: str, tmp_path: Path) -> S3Storage:
    return S3Storage(store_settings(s3_server.url, bucket, tmp_path))


def put(storage: S3Storage, content: bytes, name: str = "") -> str:
    with storage.receive() as path:
        stored = storage.spool(io.BytesIO(content), path, limit=1 << 30, limit_name="upload bytes")
        storage.adopt(path, stored, name)
    return stored.sha256


def count_fetches(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of every range that is asked for from here on."""
    asked: list[int] = []
    one, many = obstore.get_range, obstore.get_ranges

    def get_range(*args: object, length: int, **kwargs: object) -> object:
        asked.append(length)
        return one(*args, length=length, **kwargs)  # type: ignore[call-overload]

    def get_ranges(*args: object, starts: list[int], ends: list[int], **kwargs: object) -> object:
        asked.extend(end - start for start, end in zip(starts, ends, strict=True))
        return many(*args, starts=starts, ends=ends, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(obstore, "get_range", get_range)
    monkeypatch.setattr(obstore, "get_ranges", get_ranges)
    return asked


def test_a_large_file_goes_in_parts_and_comes_back_whole(
    storage: S3Storage, s3_server: S3Server, bucket: str
) -> None:
    sha256 = put(storage, LARGE)
    meta = obstore.head(storage.store, f"objects/{sha256[:2]}/{sha256[2:]}")
    assert meta["size"] == len(LARGE)
    assert (meta["e_tag"] or "").strip('"').endswith("-4")  # of four parts
    assert s3_server.unfinished_uploads(bucket) == 0
    with storage.local_copy(sha256) as path:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def test_the_layout_is_the_folders_below_the_prefix(storage: S3Storage, bucket: str) -> None:
    sha256 = put(storage, b"bytes")
    key = f"/{bucket}/some/prefix/objects/{sha256[:2]}/{sha256[2:]}"
    assert urlsplit(storage.link_for(sha256, 60)).path == key


def test_a_copy_is_fetched_once(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = put(storage, b"bytes")
    asked = count_fetches(storage, monkeypatch)
    for _ in range(3):
        with storage.local_copy(sha256) as path:
            assert path.read_bytes() == b"bytes"
    assert asked == [5]


def test_two_machines_share_nothing_but_the_store(
    storage: S3Storage, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    other = S3Storage(store_settings(s3_server.url, bucket, tmp_path / "other"))
    sha256 = put(storage, b"made here")
    with other.local_copy(sha256) as path:
        assert path.read_bytes() == b"made here"
        assert tmp_path / "other" in path.parents


def test_a_file_that_is_there_is_not_sent_again(storage: S3Storage) -> None:
    before = put(storage, b"bytes"), storage.listed()
    assert (put(storage, b"bytes"), storage.listed()) == before


def test_an_object_that_is_cut_short_is_replaced(storage: S3Storage) -> None:
    sha256 = hashlib.sha256(b"whole").hexdigest()
    obstore.put(storage.store, f"objects/{sha256[:2]}/{sha256[2:]}", b"who")
    assert put(storage, b"whole") == sha256
    assert storage.find(sha256).bytes == 5


def test_a_link_downloads_without_a_key_under_the_files_name(storage: S3Storage) -> None:
    sha256 = put(storage, b"weights", "checkpoint_1.pt")
    link = storage.link_for(sha256, 60)
    assert SECRET not in link
    assert "X-Amz-Expires=60" in link
    answer = httpx.get(link, trust_env=False)
    assert answer.content == b"weights"
    assert answer.headers["content-disposition"] == 'attachment; filename="checkpoint_1.pt"'
    part = httpx.get(link, headers={"Range": "bytes=2-4"}, trust_env=False)
    assert (part.status_code, part.content) == (206, b"igh")


def test_a_removal_that_goes_on_is_awaited(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep between its look and its deletion: whoever adopts then sends the file again."""
    sha256 = put(storage, b"bytes")
    (identity,) = storage.listed().values()
    looked, adopting = threading.Event(), threading.Event()
    look = storage._identity

    def look_and_stop(key: str) -> object:
        found = look(key)
        looked.set()
        assert adopting.wait(30)
        return found

    monkeypatch.setattr(storage, "_identity", look_and_stop)
    removed: list[bool] = []
    sweep = threading.Thread(target=lambda: removed.append(storage.remove_if_same(sha256, identity)))
    sweep.start()
    assert looked.wait(30)
    await_end = storage._removals.await_end

    def note_and_await(sha256: str) -> bool:
        adopting.set()
        return await_end(sha256)

    monkeypatch.setattr(storage._removals, "await_end", note_and_await)
    assert put(storage, b"bytes") == sha256
    sweep.join(30)
    assert removed == [True]
    assert storage.find(sha256).bytes == 5


def test_a_file_adopted_before_the_sweep_looks_stays(storage: S3Storage) -> None:
    sha256 = put(storage, b"bytes")
    (identity,) = storage.listed().values()
    put(storage, b"bytes")  # the bytes are not sent, so the identity stays: the mark protects it
    assert storage.listed()[sha256] == identity
    assert not storage.remove_if_same(sha256, identity)
    assert storage.find(sha256).bytes == 5


def test_a_mark_protects_for_a_while(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = put(storage, b"bytes")
    put(storage, b"bytes")
    monkeypatch.setattr(removal, "KEPT_FOR", timedelta(seconds=-1))
    assert storage.remove_if_same(sha256, storage.listed()[sha256])


def test_a_removal_that_never_ends_is_told_and_forgotten_in_time(
    storage: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that was killed between its announcement and its end."""
    sha256 = put(storage, b"bytes")
    assert storage._removals.begin(sha256)
    monkeypatch.setattr(removal, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(StoreUnavailable, match="being removed"):
        put(storage, b"bytes")
    assert not storage.remove_if_same(sha256, storage.listed()[sha256])
    storage.sweep(3_600)
    assert not storage._removals.begin(sha256)
    monkeypatch.setattr(removal, "FORGOTTEN_AFTER", timedelta(seconds=-60))
    storage.sweep(3_600)
    assert put(storage, b"bytes") == sha256


def test_no_way_of_printing_a_storage_shows_its_secret(storage: S3Storage) -> None:
    shown = f"{storage.store!r} {storage.address} {vars(storage)!r}"
    assert SECRET not in shown
