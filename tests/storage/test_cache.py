"""Copies of a store's files: verified, bounded, shared by threads and processes, sound after a crash."""

import fcntl
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.storage.cache import UNFINISHED, ArtifactCache


def name_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Source:
    """What is fetched, and how often."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sha256 = name_of(content)
        self.fetched = 0

    def __call__(self, path: Path) -> None:
        self.fetched += 1
        path.write_bytes(self.content)


def use(cache: ArtifactCache, source: Source) -> bytes:
    with cache.hold(source.sha256, len(source.content), source) as path:
        return path.read_bytes()


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache", limit=100)


def names(cache: ArtifactCache) -> set[str]:
    return {path.name for path in cache.folder.iterdir()}


def test_a_file_is_fetched_once(cache: ArtifactCache) -> None:
    source = Source(b"weights")
    assert use(cache, source) == use(cache, source) == b"weights"
    assert source.fetched == 1
    assert names(cache) == {source.sha256}


def test_what_was_unused_the_longest_goes_first(cache: ArtifactCache) -> None:
    first, second, third = (Source(bytes([n]) * 40) for n in range(3))
    for source in (first, second, first, third):
        use(cache, source)
    assert names(cache) == {first.sha256, third.sha256}
    use(cache, second)
    assert second.fetched == 2


def test_what_is_in_use_stays(cache: ArtifactCache) -> None:
    held, other, third = (Source(bytes([n]) * 60) for n in range(3))
    with cache.hold(held.sha256, 60, held) as path:
        use(cache, other)
        use(cache, third)
        assert path.read_bytes() == held.content
    assert held.fetched == 1


def test_what_is_larger_than_the_cache_is_dropped_after_use(cache: ArtifactCache) -> None:
    small, large = Source(b"s" * 10), Source(b"l" * 200)
    use(cache, small)
    with cache.hold(large.sha256, 200, large) as path:
        assert path.stat().st_size == 200
        assert names(cache) == {large.sha256}
    assert names(cache) == set()


def test_other_bytes_are_noticed_before_use(cache: ArtifactCache) -> None:
    sha256 = name_of(b"what it should be")
    with pytest.raises(StoreUnavailable, match="other bytes"), cache.hold(sha256, 5, Source(b"wrong")):
        pytest.fail("wrong bytes were given out")
    assert names(cache) == set()


def test_a_damaged_copy_is_fetched_anew(cache: ArtifactCache) -> None:
    source = Source(b"weights")
    use(cache, source)
    (cache.folder / source.sha256).write_bytes(b"rotten!")
    assert use(cache, source) == b"weights"
    assert source.fetched == 2


def test_a_fetch_that_fails_leaves_nothing(cache: ArtifactCache) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable), cache.hold("a" * 64, 8, fail):
        pass
    assert names(cache) == set()


def test_a_full_disk_is_told(cache: ArtifactCache) -> None:
    def fill(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreUnavailable, match="no room") as refused, cache.hold("a" * 64, 8, fill):
        pass
    assert "CALIPER_ARTIFACT_CACHE_BYTES" in refused.value.hint


def test_what_a_killed_process_left_unfinished_is_fetched_anew(cache: ArtifactCache, tmp_path: Path) -> None:
    source = Source(b"whole")
    code = (
        "import os, sys; from pathlib import Path; from app.storage.cache import ArtifactCache\n"
        "def half(path):\n    path.write_bytes(b'wh'); os.kill(os.getpid(), 9)\n"
        f"with ArtifactCache(Path({str(cache.folder)!r}), 100).hold({source.sha256!r}, 5, half): pass"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert names(cache) == {source.sha256 + UNFINISHED}
    assert use(cache, source) == b"whole"
    assert names(cache) == {source.sha256}


def test_what_was_left_unfinished_goes_when_room_is_needed(cache: ArtifactCache) -> None:
    cache.folder.mkdir(parents=True)
    (cache.folder / ("b" * 64 + UNFINISHED)).write_bytes(b"x" * 90)
    source = Source(b"y" * 20)
    use(cache, source)
    assert names(cache) == {source.sha256}


def test_many_at_once_fetch_once(cache: ArtifactCache) -> None:
    source = Source(b"shared" * 10)
    together = threading.Barrier(8)

    def ask() -> bytes:
        together.wait()
        return use(cache, source)

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask) for _ in range(8)]
        assert {answer.result() for answer in answers} == {source.content}
    assert source.fetched == 1


def test_who_waits_for_anothers_fetch_is_asked_now_and_then(cache: ArtifactCache) -> None:
    source = Source(b"weights")
    cache.folder.mkdir(parents=True)
    asked: list[int] = []

    class EnoughError(Exception):
        pass

    def pulse() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise EnoughError

    with (cache.folder / (source.sha256 + UNFINISHED)).open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(EnoughError), cache.hold(source.sha256, 7, source, pulse):
            pass
    assert source.fetched == 0
    holding: Callable[[], bytes] = lambda: use(cache, source)
    assert holding() == b"weights"
