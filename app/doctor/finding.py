"""What a check says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from app.settings import Settings


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    """Whether something is wrong with it."""
    about: str
    """What was looked at."""
    said: str
    """How it is."""
    advice: str = ""
    """What to do about it; empty where nothing has to be done."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on something counts as bad."""

    least_free_bytes: int = 1 << 30
    """Less room on the disk is a problem: a checkpoint may not fit."""
    scarce_free_bytes: int = 10 << 30
    """Less is worth a warning."""
    least_open_files: int = 1_024
    """Fewer files that a process may have open are worth a warning."""
    clock_seconds: float = 2.0
    """Clocks that differ by more are worth a warning."""
    sampled_files: int = 25
    """How many stored files are held against their rows."""
    hashed_bytes: int = 64 << 20
    """Stored files up to this size are hashed, larger ones measured."""


@dataclass(frozen=True, slots=True)
class Patient:
    """The installation that is looked at."""

    settings: Settings
    """Its settings."""
    thresholds: Thresholds = Thresholds()
    """What counts as bad."""


Findings: TypeAlias = Iterator[Finding]
Check: TypeAlias = Callable[[Patient], Findings]


def ok(about: str, said: str) -> Finding:
    """Nothing is wrong."""
    return Finding(Verdict.OK, about, said)


def warning(about: str, said: str, advice: str) -> Finding:
    """It works, but not well, or not for long."""
    return Finding(Verdict.WARNING, about, said, advice)


def problem(about: str, said: str, advice: str) -> Finding:
    """Something does not work."""
    return Finding(Verdict.PROBLEM, about, said, advice)
