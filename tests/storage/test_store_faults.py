"""A store that is away, refuses, is slow, sends wrong bytes or breaks off: told in words, never believed."""

import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from s3_server import SECRET, S3Proxy, S3Server, proxied, store_settings

from app.errors import StoreUnavailable
from app.storage.s3 import PART_BYTES, S3Storage

LARGE = b"x" * (3 * PART_BYTES)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[S3Proxy]:
    with proxied(s3_server) as proxy:
        yield proxy


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def storage(proxy: S3Proxy, bucket: str, tmp_path: Path) -> S3Storage:
    return S3Storage(store_settings(proxy.url, bucket, tmp_path, artifact_retry_seconds=1))


def put(storage: S3Storage, content: bytes) -> str:
    with storage.receive() as path:
        stored = storage.spool(io.BytesIO(content), path, limit=1 << 30, limit_name="upload bytes")
        storage.adopt(path, stored)
    return stored.sha256


def test_wrong_bytes_are_noticed_before_use(storage: S3Storage, proxy: S3Proxy) -> None:
    sha256 = put(storage, b"the true weights")
    proxy.fault, proxy.methods, proxy.only = "damage", {"GET"}, "objects/"
    with pytest.raises(StoreUnavailable, match="other bytes"), storage.local_copy(sha256):
        pytest.fail("damaged bytes were given out")
    proxy.fault = None
    with storage.local_copy(sha256) as path:
        assert path.read_bytes() == b"the true weights"


def test_a_download_that_breaks_off_is_asked_for_again(storage: S3Storage, proxy: S3Proxy) -> None:
    sha256 = put(storage, LARGE)
    proxy.fault, proxy.methods, proxy.only = "cut", {"GET"}, "objects/"

    def mend() -> None:
        proxy.fault = None

    timer = threading.Timer(0.3, mend)
    timer.start()
    with storage.local_copy(sha256) as path:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    timer.join()


def test_a_store_that_comes_back_in_time_is_not_noticed(storage: S3Storage, proxy: S3Proxy) -> None:
    proxy.fault = "fail"

    def mend() -> None:
        proxy.fault = None

    timer = threading.Timer(0.3, mend)
    timer.start()
    assert storage.find(put(storage, b"bytes")).bytes == 5
    timer.join()


def test_a_store_that_is_away_is_told(proxy: S3Proxy, bucket: str, tmp_path: Path) -> None:
    storage = S3Storage(store_settings(proxy.url, bucket, tmp_path, artifact_retry_seconds=0.1))
    sha256 = put(storage, b"bytes")
    proxy.fault = "fail"
    for ask in (
        lambda: put(storage, b"more"),
        lambda: storage.find(sha256),
        storage.listed,
        storage.read_mark,
        lambda: storage.remove(sha256),
        lambda: storage.uploads.received("upload_" + "0" * 22),
    ):
        with pytest.raises(StoreUnavailable) as told:
            ask()
        assert told.value.status == 503
        assert SECRET not in told.value.detail


def test_a_closed_port_is_told(s3_server: S3Server, bucket: str, tmp_path: Path, free_port: int) -> None:
    settings = store_settings(f"http://127.0.0.1:{free_port}", bucket, tmp_path, artifact_retry_seconds=0.5)
    with pytest.raises(StoreUnavailable, match="did not"):
        S3Storage(settings).listed()


def test_refused_credentials_are_told_at_once(storage: S3Storage, proxy: S3Proxy) -> None:
    sha256 = put(storage, b"bytes")
    proxy.fault = "refuse"
    before = len(proxy.seen)
    with pytest.raises(StoreUnavailable, match="refuses") as told:
        storage.find(sha256)
    assert "credentials" in told.value.hint
    assert len(proxy.seen) == before + 1
    with pytest.raises(StoreUnavailable, match="refuses"):
        put(storage, b"more")


def test_a_missing_bucket_is_told(s3_server: S3Server, tmp_path: Path) -> None:
    storage = S3Storage(store_settings(s3_server.url, "no-such-bucket", tmp_path))
    for ask in (storage.listed, lambda: put(storage, b"bytes"), lambda: storage.write_mark("storage_1")):
        with pytest.raises(StoreUnavailable, match="no bucket") as told:
            ask()
        assert "CALIPER_ARTIFACTS_URL" in told.value.hint


def test_a_torn_upload_leaves_no_parts_behind(
    storage: S3Storage, proxy: S3Proxy, s3_server: S3Server, bucket: str
) -> None:
    """The parts after the first are refused: the upload is aborted, the object never appears."""
    proxy.fault, proxy.methods, proxy.only, proxy.after = "fail", {"PUT"}, "partNumber", 1
    with pytest.raises(StoreUnavailable):
        put(storage, LARGE)
    assert storage.listed() == {}
    assert s3_server.unfinished_uploads(bucket) == 0
    proxy.fault = None
    assert put(storage, LARGE) in storage.listed()


def test_a_slow_store_is_waited_for(storage: S3Storage, s3_server: S3Server) -> None:
    sha256 = put(storage, b"bytes")
    s3_server.pause()
    timer = threading.Timer(1.5, s3_server.go_on)
    timer.start()
    try:
        assert storage.find(sha256).bytes == 5
    finally:
        timer.join()
        assert httpx.get(s3_server.url, trust_env=False).is_success
