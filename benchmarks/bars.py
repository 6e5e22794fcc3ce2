"""A million bars read and validated: seconds and peak memory, CSV and Parquet.

    python benchmarks/bars.py [--rows 1000000]

Each measurement is one `read_bars` in a fresh process; the dialects take turns. The time is that of the call
(reading, every check, segments, warnings), the best and the median of the rounds; the peak is the largest
resident memory of the whole process, interpreter and imports included.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
GOAL_SECONDS, GOAL_MIB = 3.0, 1024.0
CHILD = """
import json, resource, sys, time
from pathlib import Path
from app.market.bars import Declarations, read_bars
declared = Declarations(calendar="24x7", **json.loads(sys.argv[2]))
began = time.perf_counter()
bars = read_bars(Path(sys.argv[1]), declared)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak": peak, "rows": len(bars), "codes": [w.code for w in bars.warnings]}))
"""
Writer = Callable[[pl.DataFrame, Path], None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, polars {pl.__version__}"
    )
    print(
        f"{rows:,} bars of one minute, {ROUNDS} rounds; goals: <= {GOAL_SECONDS:g} s, <= {GOAL_MIB:,.0f} MiB\n"
    )
    print(f"{'file':34}{'MB':>8}{'best s':>9}{'median s':>10}{'peak MiB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        files = _write_files(make_table(rows), Path(folder))
        answers: dict[str, list[dict[str, Any]]] = {name: [] for name, _, _ in files}
        for _ in range(ROUNDS):
            for name, path, declared in files:
                answers[name].append(_measure(path, declared))
        for name, path, _ in files:
            _print_row(name, path.stat().st_size, answers[name])


def make_table(rows: int) -> pl.DataFrame:
    """A random walk of minute bars, its prices written with two decimals as exchanges do."""
    rng = np.random.default_rng(1)
    close = np.round(30_000 * np.exp(np.cumsum(rng.normal(0, 5e-4, rows))), 2)
    opened = np.concatenate([[30_000.0], close[:-1]])
    stamps = np.arange(rows, dtype=np.int64) * 60_000_000 + 1_514_764_800_000_000
    return pl.DataFrame(
        {
            "timestamp": pl.Series(stamps).cast(pl.Datetime("us")),
            "open": opened,
            "high": np.round(np.maximum(opened, close) + rng.exponential(5, rows), 2),
            "low": np.round(np.minimum(opened, close) - rng.exponential(5, rows), 2),
            "close": close,
            "volume": np.round(rng.lognormal(2, 1, rows), 6),
        }
    )


def _write_files(table: pl.DataFrame, folder: Path) -> list[tuple[str, Path, dict[str, str]]]:
    epoch = table.with_columns(pl.col("timestamp").dt.epoch("ms"))
    comma = table.with_columns(
        pl.col("timestamp").dt.strftime("%d.%m.%Y %H:%M"),
        pl.exclude("timestamp").cast(pl.String).str.replace(".", ",", literal=True),
    )
    kinds: list[tuple[str, str, Writer, dict[str, str]]] = [
        (
            "CSV, ISO times",
            "iso.csv",
            lambda t, p: t.write_csv(p, datetime_format="%Y-%m-%d %H:%M:%S"),
            {"timezone": "UTC"},
        ),
        ("CSV, epoch milliseconds", "epoch.csv", lambda _, p: epoch.write_csv(p), {}),
        (
            "CSV, day first, decimal commas",
            "comma.csv",
            lambda _, p: comma.write_csv(p, separator=";"),
            {"timezone": "UTC"},
        ),
        ("Parquet", "bars.parquet", lambda t, p: t.write_parquet(p), {"timezone": "UTC"}),
    ]
    files = []
    for name, file, write, declared in kinds:
        write(table, folder / file)
        files.append((name, folder / file, declared))
    return files


def _measure(path: Path, declared: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-c", CHILD, str(path), json.dumps(declared)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return dict(json.loads(done.stdout))


def _print_row(name: str, size: int, answers: list[dict[str, Any]]) -> None:
    seconds = [answer["seconds"] for answer in answers]
    peak = max(answer["peak"] for answer in answers)
    print(f"{name:34}{size / 1e6:8.1f}{min(seconds):9.2f}{statistics.median(seconds):10.2f}{peak:10.0f}")


if __name__ == "__main__":
    main()
