"""Faults on a running service, and whether anything was lost: `python -m benchmarks.chaos --faults 100 [--seed 1]`.

Two APIs, two workers, Redis and PostgreSQL run on this machine while small jobs train; a seeded schedule kills,
freezes, empties, cuts, fills and steps them. Then an auditor looks at every row and file.
"""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.chaos_harm import Harm
from benchmarks.chaos_run import Outcome, Plan, run_chaos
from benchmarks.chaos_stack import QUICK


def main() -> int:
    """Run and print; 1 where an invariant was broken or a harm not recovered from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timesteps", type=int, default=6_000, help="length of each job")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the contexts, which end every process
    plan = Plan(asked.faults, asked.seed, timesteps=asked.timesteps)
    outcome = run_chaos(plan, tell=lambda line: print(line, file=sys.stderr, flush=True))
    print("\n".join(describe(outcome)))
    return 0 if is_clean(outcome) else 1


def is_clean(outcome: Outcome) -> bool:
    """Whether every invariant holds and every harm was recovered from."""
    whole = not any(verdict.broken for verdict in outcome.verdicts)
    return whole and all(harm.recovered_after is not None for harm in outcome.harms)


def describe(outcome: Outcome) -> Iterator[str]:
    """The table."""
    told = f"{len(outcome.harms)} faults, seed {outcome.seed}, {outcome.jobs} jobs in {outcome.attempts} attempts"
    yield f"{told}, {outcome.in_flight:.1f} queued or running at a fault on average"
    yield f"{outcome.seconds:.0f} s on {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    yield ", ".join(f"{name} {QUICK[name]:g}" for name in sorted(QUICK) if name.endswith("_seconds"))
    yield ""
    yield f"{'fault':<36}{'count':>6}{'recovered':>11}{'noticed after':>20}{'resumed after':>20}"
    for kind in sorted({harm.kind for harm in outcome.harms}):
        yield _row(kind, [harm for harm in outcome.harms if harm.kind == kind])
    yield "(seconds: the median and the longest; - where nothing is lost that could be noticed. Resumed: the job is taken again,"
    yield " or the APIs answer that database, Redis and a worker are there.)"
    yield ""
    yield f"{'invariant':<64}{'checked':>8}{'broken':>8}"
    for verdict in outcome.verdicts:
        yield f"{verdict.invariant:<64}{verdict.checked:>8}{len(verdict.broken):>8}"
        yield from (f"    {what}" for what in verdict.broken[:20])


def _row(kind: str, harms: Sequence[Harm]) -> str:
    recovered = [harm.recovered_after for harm in harms if harm.recovered_after is not None]
    noticed = [harm.noticed_after for harm in harms if harm.noticed_after is not None]
    return f"{kind:<36}{len(harms):>6}{len(recovered):>11}{_spread(noticed):>20}{_spread(recovered):>20}"


def _spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} / {max(seconds):.1f}" if seconds else "-"


if __name__ == "__main__":
    sys.exit(main())
