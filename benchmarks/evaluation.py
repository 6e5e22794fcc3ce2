"""How long the parts of an evaluation take: python benchmarks/evaluation.py [--bars 1000000] [--threads 1]."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor

from app.market.features import FeatureSchema
from app.market.significance import BOOTSTRAP_SAMPLES, bootstrap_intervals
from app.market.splits import Span
from app.market.trading import RETAIL_COSTS, EnvSpec
from tests.market.making import make_bars
from worker.trading.baselines import RANDOM_DRAWS, draw_random, stress, walk_baselines
from worker.trading.lanes import LANE_BARS, MAX_LANES
from worker.trading.market import build_market
from worker.trading.walk import walk_policy

LOOKBACK = 5


def sticky(observed: Tensor) -> Tensor:
    """Keeps its position unless the market moves far: decisions that hang on those before."""
    present = observed[:, -5].round().long() + 1
    move = observed[:, 2 * (LOOKBACK - 1)]
    return torch.where(move.abs() < 1.5, present, torch.where(move > 0, 2, 0))


def timed(name: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    answer = work()
    print(f"{name:44s} {time.perf_counter() - started:8.2f} s")
    return answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    spec = EnvSpec(RETAIL_COSTS)
    market = build_market(make_bars(given.bars), FeatureSchema(names=("ret_1", "rsi_14"), lookback=LOOKBACK))
    print(f"one span of {given.bars:,} bars, {given.threads} thread(s)")
    walk = timed(
        f"policy, up to {MAX_LANES} lanes of {LANE_BARS:,} or more", lambda: run(market, spec, given.bars)
    )
    rows = torch.tensor(walk.rows).long()
    held = timed("flat, buy & hold, moving averages", lambda: walk_baselines(market, rows, spec)).buy_and_hold
    timed(f"{RANDOM_DRAWS} random baselines", lambda: draw_random(walk, market, spec))
    timed("stress, 5 cases", lambda: stress(walk, market, spec))
    year = market.periods_per_year
    timed(
        f"intervals, {BOOTSTRAP_SAMPLES:,} bootstrap samples",
        lambda: bootstrap_intervals(np.copy(walk.log_returns), held.log_returns, year),
    )


def run(market: Any, spec: EnvSpec, bars: int) -> Any:
    return walk_policy(sticky, market, {"test": Span(0, bars)}, spec)["test"]


if __name__ == "__main__":
    main()
