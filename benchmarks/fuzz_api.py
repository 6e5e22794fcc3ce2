"""Every operation of the OpenAPI document asked with good and bad data, one by one and along its links.

    python -m benchmarks.fuzz_api [--minutes 10] [--database sqlite|postgresql] [--seed 1]

Starts a real API process with Redis and a registry (fuzz_stack.py), and has schemathesis ask it over HTTP: the
document's examples, every boundary of every schema, random data, and walks from the ids that answers give. Any 5xx,
any status, content type, header or body that the document does not promise, a deleted thing that still answers and
wrong data that is accepted are findings; so is a trace in the service's log. Exits with 1 where there is one.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.version import SCHEMATHESIS_VERSION
from schemathesis.engine import events, from_schema
from schemathesis.openapi import from_url
from schemathesis.openapi.checks import EnsureResourceAvailability

from benchmarks.api_process import ApiProcess
from benchmarks.fuzz_data import plausible_bodies
from benchmarks.fuzz_stack import fuzzed_service

MIB = 1 << 20
UNMET = ["2xx", "3xx", "401", "403", "404", "409", "413", "416", "422", "429"]
"""Answers to data that fits its schema: rules between values, sums and files' contents stand in no schema."""
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "416", "422", "428", "429"]
"""Answers to data that breaks its schema."""

AWAY: dict[str, Any] = {
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
    "positive_data_acceptance": {"expected-statuses": [*UNMET, "503"]},
}
"""Checks where 503 says that a part of the service is truly away."""


@dataclass
class Tally:
    """What was asked, and what was wrong with the answers."""

    replaced: set[str] = field(default_factory=set)
    """Cases whose body was put in place of a random one: good ones, whatever their schema says."""
    requests: Counter[str] = field(default_factory=Counter)
    """By phase."""
    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    """Operations that answered 2xx or 3xx."""
    findings: dict[tuple[str, str], str] = field(default_factory=dict)
    """(what, operation) -> the first case of it."""
    seconds: float = 0.0

    def note(self, event: Any) -> None:
        """Count one event of the engine."""
        if isinstance(event, events.ScenarioFinished):
            self._note_scenario(str(event.phase.value), event.recorder)
        elif isinstance(event, events.NonFatalError):
            self.findings.setdefault((event.info.title, event.label), f"{event.info}")
        elif isinstance(event, events.FatalError):
            self.findings.setdefault(("fatal error", "engine"), repr(event.exception))
        elif isinstance(event, events.EngineFinished):
            self.seconds = event.running_time

    def _note_scenario(self, phase: str, recorder: Any) -> None:
        for case_id, interaction in recorder.interactions.items():
            label = recorder.cases[case_id].value.operation.label
            self.requests[phase] += 1
            self.operations[label] += 1
            if interaction.response is not None:
                status = interaction.response.status_code
                self.statuses[status] += 1
                self.accepted[label] += 200 <= status < 400
        for case_id, checks in recorder.checks.items():
            label = recorder.cases[case_id].value.operation.label
            for check in checks:
                failure = check.failure_info.failure if check.failure_info is not None else None
                if failure is not None and not self._is_mistaken(failure, case_id, recorder):
                    answered = recorder.interactions[case_id].response
                    said = f"{answered.status_code} {answered.content[:300]!r}" if answered else "nothing"
                    shown = f"{failure.message}\n    {check.failure_info.code_sample}\n    answered: {said}"
                    self.findings.setdefault((failure.title, label), shown)

    def _is_mistaken(self, failure: Any, case_id: str, recorder: Any) -> bool:
        """Whether the checker could not know: of a body put in place, of a thing deleted under another path than asked."""
        if isinstance(failure, AcceptedNegativeData):
            return case_id in self.replaced
        return isinstance(failure, EnsureResourceAvailability) and _names_a_deleted(case_id, recorder)


def _names_a_deleted(case_id: str, recorder: Any) -> bool:
    """Whether the request names, in its path or its query, what a request of the same walk deleted."""
    asked = recorder.interactions[case_id].request.uri
    return any(
        interaction.request.method == "DELETE"
        and interaction.response is not None
        and interaction.response.status_code < 300
        and interaction.request.uri.rsplit("/", 1)[-1] in asked
        for interaction in recorder.interactions.values()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    describe_machine(given)
    with (
        tempfile.TemporaryDirectory(prefix="caliper-fuzz-") as folder,
        registry(given.database, folder) as url,
        fuzzed_service(Path(folder), url) as service,
    ):
        before = service.resident_bytes()
        tally = fuzz(service.url, seed=given.seed, seconds=given.minutes * 60)
        time.sleep(1)
        report(tally, service, before)
        failed = bool(tally.findings) or service.traces() > 0
    sys.exit(1 if failed else 0)


def fuzz(url: str, *, seed: int, seconds: float | None = None, examples: int | None = None) -> Tally:
    """Ask the service at `url` for so long or, without a time, once with so many examples an operation."""
    schema = from_url(
        f"{url}/openapi.json", config=SchemathesisConfig.from_dict(settings(seed, seconds, examples))
    )
    with warnings.catch_warnings(), plausible_bodies(seed) as replaced:
        tally = Tally(replaced)
        warnings.simplefilter("ignore")  # of the generator, about slow data
        for event in from_schema(schema).execute():
            tally.note(event)
    return tally


def settings(seed: int, seconds: float | None, examples: int | None) -> dict[str, Any]:
    """Schemathesis' settings: every check, the same data each time for the same seed."""
    chosen: dict[str, Any] = {
        "seed": seed,
        "generation": {"mode": "all", "deterministic": seconds is None, "no-shrink": seconds is None},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": UNMET},
            "negative_data_rejection": {"expected-statuses": REFUSED},
        },
        # No Celery worker consumes here, and that is what /readyz then says.
        "operations": [{"include-path": "/readyz", "checks": AWAY}],
        "continue-on-failure": True,
        "request-timeout": 30,
        "phases": {"stateful": {"max-steps": 12}},
    }
    if seconds is not None:
        chosen["max-time"] = int(seconds)
    if examples is not None:
        chosen["generation"]["max-examples"] = examples
    return chosen


@contextmanager
def registry(kind: str, folder: str) -> Iterator[str | None]:
    """The URL of an empty PostgreSQL, from the bundled wheel; None for SQLite in the service's folder."""
    if kind == "sqlite":
        yield None
        return
    import pgserver  # noqa: PLC0415 - only where it is wanted

    Path(folder).chmod(0o755)
    server = pgserver.get_server(Path(folder) / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def describe_machine(given: argparse.Namespace) -> None:
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, schemathesis "
        f"{SCHEMATHESIS_VERSION}; {given.minutes:g} minutes on {given.database}, seed {given.seed}"
    )


def report(tally: Tally, service: ApiProcess, before: int) -> None:
    """Print the tables."""
    total = sum(tally.requests.values())
    print(f"\n{total:,} requests in {tally.seconds:,.0f} s to {len(tally.operations)} operations")
    print("by phase: " + ", ".join(f"{name} {count:,}" for name, count in sorted(tally.requests.items())))
    print(
        "by status: " + ", ".join(f"{status} {count:,}" for status, count in sorted(tally.statuses.items()))
    )
    print(f"\n{'operation':<52}{'requests':>10}{'2xx, 3xx':>10}")
    for label, count in sorted(tally.operations.items()):
        print(f"{label:<52}{count:>10,}{tally.accepted[label]:>10,}")
    print(
        f"\nAPI process: resident {before / MIB:,.0f} MiB before, {service.resident_bytes() / MIB:,.0f} after, "
        f"{service.peak_bytes() / MIB:,.0f} at most; traces in its log: {service.traces()}"
    )
    print(f"findings: {len(tally.findings)}")
    for (what, label), shown in sorted(tally.findings.items()):
        print(f"\n{what}: {label}\n    {shown}")


if __name__ == "__main__":
    main()
