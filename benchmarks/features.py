"""The 48 market features of a million bars: seconds on one core, and of what.

    python benchmarks/features.py [--rows 1000000]

The process keeps to one core and one thread; a round computes everything anew. The best and the median of the
rounds, of all 48 features, of each group by itself (with what it shares with the others), and of fitting and
applying the robust scaler.
"""

import argparse
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[name] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402 - the threads are counted when it loads

from app.market.bars import Bars, Declarations  # noqa: E402
from app.market.features import FeatureSchema, compute_features  # noqa: E402
from app.market.scaler import RobustScaler  # noqa: E402
from app.market.schema import GROUPS  # noqa: E402

ROUNDS = 3
GOAL_SECONDS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{platform.platform()}, one core, Python {platform.python_version()}, TA-Lib {version('TA-Lib')}")
    print(f"{rows:,} bars, {ROUNDS} rounds; goal: all 48 in <= {GOAL_SECONDS:g} s\n")
    print(f"{'':26}{'best s':>9}{'median s':>10}")
    bars = make_bars(rows)
    schema = FeatureSchema()
    _print_times("all 48 features", lambda: compute_features(bars, schema))
    for group in GROUPS:
        part = FeatureSchema(names=group.NAMES)
        label = f"{group.__name__.rpartition('.')[2]} ({len(group.NAMES)})"
        _print_times(label, lambda part=part: compute_features(bars, part))
    features = compute_features(bars, schema)
    scaler = RobustScaler.fit(features, 0, rows * 6 // 10)
    _print_times("scaler fitted on 60 %", lambda: RobustScaler.fit(features, 0, rows * 6 // 10))
    _print_times("scaler applied", lambda: scaler.transform(features))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of the whole process: {peak:,.0f} MiB")


def make_bars(rows: int) -> Bars:
    """A random walk of minute bars without gaps."""
    rng = np.random.default_rng(1)
    close = 30_000 * np.exp(np.cumsum(rng.normal(0, 5e-4, rows)))
    opened = np.concatenate([[30_000.0], close[:-1]])
    return Bars(
        utc_us=np.arange(rows, dtype=np.int64) * 60_000_000 + 1_514_764_800_000_000,
        open=opened,
        high=np.maximum(opened, close) + rng.exponential(5, rows),
        low=np.minimum(opened, close) - rng.exponential(5, rows),
        close=close,
        volume=rng.lognormal(2, 1, rows),
        declarations=Declarations(bar_seconds=60, calendar="24x7"),
        segments=((0, rows),),
    )


def _print_times(label: str, work: Callable[[], object]) -> None:
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    print(f"{label:26}{min(seconds):9.2f}{statistics.median(seconds):10.2f}")


if __name__ == "__main__":
    main()
