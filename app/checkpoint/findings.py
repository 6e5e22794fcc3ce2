"""Findings: what a reader noticed about a file, each with a severity and a place."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from app.network.shape import DOCUMENTED

Severity = Literal["info", "low", "medium", "high"]

ORDER: dict[Severity, int] = {"info": 0, "low": 1, "medium": 2, "high": 3}
"""Severities from the mildest to the worst."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader noticed about a file."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    code: str
    """What kind of finding it is, such as `would_call` or `duplicate_member`."""
    severity: Severity
    """`high`: loading the file the usual way runs or hides something, or the file lies; `medium`: odd, no
    honest writer does this; `low`: worth knowing; `info`: merely said."""
    location: str
    """The member, and within a pickle the byte, such as `archive/data.pkl@123`."""
    explanation: str
    """What was found, in a sentence."""


@dataclass(slots=True)
class Findings:
    """A list of findings without repeats, bounded: the most severe stay."""

    most: int
    dropped: int = 0
    _seen: dict[tuple[str, str, str], Finding] = field(default_factory=dict)
    _only_high: bool = False

    def add(self, code: str, severity: Severity, location: str, explanation: str) -> None:
        """Note a finding; the same code, place and severity is noted once."""
        key = (code, location, explanation)
        if key in self._seen:
            return
        if len(self._seen) >= self.most and not self._make_room(severity):
            self.dropped += 1
            return
        self._seen[key] = Finding(code, severity, printable(location), printable(explanation))

    def any_high(self) -> bool:
        """Whether a dangerous thing was found, a passed limit not counted."""
        found = self._seen.values()
        return any(finding.severity == "high" and finding.code != "limit_exceeded" for finding in found)

    def ordered(self) -> tuple[Finding, ...]:
        """All findings, the worst first, otherwise as found; the last one says how many were dropped."""
        found = sorted(self._seen.values(), key=lambda finding: -ORDER[finding.severity])
        if self.dropped:
            text = f"{self.dropped:,} more findings of the same or a lower severity are not listed"
            found.append(Finding("more_findings", "info", "", text))
        return tuple(found)

    def _make_room(self, severity: Severity) -> bool:
        if self._only_high:
            return False
        mildest = min(self._seen.items(), key=lambda item: ORDER[item[1].severity])
        self._only_high = mildest[1].severity == "high"
        if ORDER[mildest[1].severity] >= ORDER[severity]:
            return False
        del self._seen[mildest[0]]
        self.dropped += 1
        return True


def printable(text: str, most: int = 500) -> str:
    """The text with control, surrogate and direction-changing characters escaped, cut to `most` characters."""
    cut = text[:most] + ("…" if len(text) > most else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
