"""The process asks for as many open files as its followers need, and has fewer followers where it gets fewer."""

import resource
from typing import Any

import pytest

from app.api import open_files
from app.api.open_files import RESERVED, allow_open_files, most_followers


class Limits:
    """A system's limits of open files."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, *, refuses: bool = False
    ) -> None:
        self.now = (soft, hard)
        self._refuses = refuses
        monkeypatch.setattr(open_files.resource, "getrlimit", lambda _: self.now)
        monkeypatch.setattr(open_files.resource, "setrlimit", self._set)

    def _set(self, _kind: int, limits: tuple[int, int]) -> None:
        if self._refuses:
            raise ValueError("more than the system allows")
        self.now = limits


def test_the_soft_limit_is_raised_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 1024, 524_288)
    assert most_followers(2_000) == 2_000
    assert limits.now == (2_000 + RESERVED, 524_288)


def test_what_is_enough_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft in (1_000_000, resource.RLIM_INFINITY):
        limits = Limits(monkeypatch, soft, resource.RLIM_INFINITY)
        assert most_followers(2_000) == 2_000
        assert limits.now == (soft, resource.RLIM_INFINITY)


def test_a_low_hard_limit_leaves_fewer_places(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    limits = Limits(monkeypatch, 512, 1024)
    assert most_followers(2_000) == 1024 - RESERVED
    assert limits.now == (1024, 1024)
    Limits(monkeypatch, 64, 64)
    assert most_followers(2_000) == 1


def test_a_system_that_refuses_keeps_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 256, resource.RLIM_INFINITY, refuses=True)
    assert allow_open_files(10_000) == 256
    assert limits.now == (256, resource.RLIM_INFINITY)
