"""Holds the memory estimate against what is held: `python benchmarks/memory.py [tracked] [process] [cuda]`.

- tracked: the real trainer on fake tensors under torch's MemTracker, over runs drawn at random: those that the
  formulas were tuned on, and those drawn after they were fixed. Error is predicted over counted, with rollout buffer
  and dataset taken out of both. On a CPU windows have an upper bound: it is held to never being under alone.
- process: the real trainer on this CPU, one child process a run: peak resident size against the estimate.
- cuda: the same on a card, by torch's allocator and by the driver; says so where there is none.
"""

import argparse
import json
import multiprocessing
import os
import platform
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.memory_draws import KINDS
from benchmarks.tracked_trainer import Tracked, track

TUNING_SEED, FRESH_SEED = 1, 20_261_124
MEDIAN_GOAL, P99_GOAL = 0.01, 0.03
MIB = 1 << 20
CHILD = Path(__file__).with_name("memory_process.py")

NETWORKS = {
    "Tiny": "256,128,64",
    "Small": "512,256,128",
    "Medium": "1024,512,256",
    "Large": "2048,1024,512,256",
}
RUNS = (
    *((name, hidden, envs, 20_000, "auto") for name, hidden in NETWORKS.items() for envs in (16, 64)),
    ("Tiny, direct", NETWORKS["Tiny"], 64, 20_000, "direct"),
    ("Small, table", NETWORKS["Small"], 16, 20_000, "table"),
    ("Small, long market", NETWORKS["Small"], 16, 300_000, "auto"),
)
"""Name, trunk, environments, bars, way of the first layer."""


def main() -> None:
    """Print the tables asked for, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--fresh", type=int, default=40, help="fresh runs drawn of each class")
    parser.add_argument("--tuning", type=int, default=20, help="runs of each class of the tuning draw")
    parser.add_argument("--seed", type=int, default=FRESH_SEED, help="seed of the fresh draw")
    parser.add_argument(
        "--classes", nargs="*", choices=list(KINDS), default=list(KINDS), help="classes of runs"
    )
    parser.add_argument("--processes", type=int, default=2, help="processes that track runs side by side")
    options = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, torch {torch.__version__}")
    for part in options.parts:
        PARTS[part](options)


def print_tracked(options: argparse.Namespace) -> None:
    """Errors by class of runs, for the tuning draw and the fresh one."""
    print("\nclosed form against MemTracker: predicted / counted - 1, in %")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, spawn, torch.set_num_threads, (1,)) as pool:
        _print_draw("tuning", TUNING_SEED, options.tuning, options.classes, pool)
        _print_draw("fresh", options.seed, options.fresh, options.classes, pool)


def _print_draw(name: str, seed: int, count: int, classes: Sequence[str], pool: Executor) -> None:
    print(f"{name} draw, seed {seed}, {count} of each class")
    print(f"  {'class':18s} {'runs':>5s} {'median':>8s} {'p99':>8s} {'largest':>8s} {'smallest':>8s}")
    everything: list[Tracked] = []
    for kind in classes:
        source = random.Random(f"{seed} {kind}")
        runs = list(pool.map(track, [KINDS[kind](source) for _ in range(count)]))
        everything += [run for run in runs if run.case.device_type == "cuda"]
        print(_row(kind, runs), flush=True)
    if everything:
        print(_row("all of a card", everything))


def _row(name: str, runs: Sequence[Tracked]) -> str:
    errors = sorted(run.error for run in runs)
    figures = (statistics.median(errors), percentile(errors, 0.99), errors[-1], errors[0])
    columns = " ".join(f"{100 * figure:+8.3f}" for figure in figures)
    goals = "an upper bound" if all(run.estimate.basis == "upper bound" for run in runs) else _goals(errors)
    under = sum(error < 0 for error in errors)
    return f"  {name:18s} {len(runs):5d} {columns}  {goals}{f'; {under} under' if under else ''}"


def _goals(errors: Sequence[float]) -> str:
    missed = [
        text
        for text, is_missed in (
            (f"median over {MEDIAN_GOAL:.0%}", statistics.median(errors) > MEDIAN_GOAL),
            (f"p99 over {P99_GOAL:.0%}", percentile(errors, 0.99) > P99_GOAL),
        )
        if is_missed
    ]
    return "; ".join(missed) or "within the goals"


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that this share of all values does not pass."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def print_process(_: argparse.Namespace) -> None:
    """Resident size of training processes on this CPU."""
    malloc = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
    print(
        f"\nCPU: peak resident size, MiB; one thread; glibc keeps freed memory (worker/ppo/allocator.py); {malloc or 'no MALLOC_* set'}"
    )
    smallest = _run_child("--hidden", "8", "--envs", "2", "--steps", "4", "--bars", "1500")
    print(f"interpreter, torch and the worker imported: {smallest['imported'] / MIB:.0f}")
    print(
        f"after the smallest training, which loads the rest: {smallest['peak'] / MIB:.0f} (tensors {smallest['tensors'] / MIB:.0f})"
    )
    print(
        f"  {'run':20s} {'envs':>5s} {'bars':>7s} {'peak':>7s} {'tensors':>8s} {'beyond':>7s} {'estimate':>9s} estimate/peak"
    )
    for name, hidden, envs, bars, way in RUNS:
        found = _run_child("--hidden", hidden, "--envs", str(envs), "--bars", str(bars), "--first-layer", way)
        peak, tensors, total = (found[key] / MIB for key in ("peak", "tensors", "total"))
        beyond = peak - smallest["peak"] / MIB - tensors
        print(
            f"  {name:20s} {envs:5d} {bars:7d} {peak:7.0f} {tensors:8.0f} {beyond:7.0f} {total:9.0f} {total / peak:13.3f}"
            f"  {found['first_layer']}",
            flush=True,
        )


def print_cuda(_: argparse.Namespace) -> None:
    """The allocator's and the driver's count on a card."""
    if not torch.cuda.is_available():
        print("\nno CUDA device: not run")
        return
    print(f"\nCUDA: MiB; {torch.cuda.get_device_name()}")
    print(
        f"  {'run':20s} {'envs':>5s} {'precision':>9s} {'allocated':>9s} {'tensors':>8s} tensors/allocated {'used':>7s} {'estimate':>9s}"
    )
    for name, hidden, envs, bars, way in RUNS:
        for precision in ("fp32", "bf16"):
            options = (
                "--hidden",
                hidden,
                "--envs",
                str(64 * envs),
                "--bars",
                str(bars),
                "--first-layer",
                way,
            )
            found = _run_child(*options, "--precision", precision, "--device", "cuda")
            allocated, tensors, used, total = (
                found[key] / MIB for key in ("allocated", "tensors", "used", "total")
            )
            print(
                f"  {name:20s} {64 * envs:5d} {precision:>9s} {allocated:9.0f} {tensors:8.0f} {tensors / allocated:17.4f}"
                f" {used:7.0f} {total:9.0f}",
                flush=True,
            )


def _run_child(*options: str) -> dict[str, int]:
    environment = {**os.environ, "PYTHONPATH": str(CHILD.parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(CHILD), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return answer


PARTS = {"tracked": print_tracked, "process": print_process, "cuda": print_cuda}

if __name__ == "__main__":
    main()
