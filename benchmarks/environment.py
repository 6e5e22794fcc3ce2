"""Environment steps a second: ours against gym-trading-env and gym-anytrading, in turns in one run.

    python benchmarks/environment.py [--rounds 7] [--seconds 2]

All run on the same 10,000 hourly bars with random actions on one thread. Ours is stepped twice: with indices
alone, as a rollout stores them, and with every observation built, as the policy sees them. The rivals always
build theirs, of the same 48 market columns in the same window of 100 bars, which is copied into a batch as a
trainer must do: gym-trading-env adds two features of the account, gym-anytrading none, ours five.
What differs remains: ours fills at the next open and charges fee, half spread, slippage by volatility and
borrowing; gym-trading-env charges a fee at the close; gym-anytrading knows long and flat, rewards without costs.

Needs the extra `rivals`. A round steps each once for the given time, in an order that moves on by one each
round; the ratio is taken within a round, so that a machine whose speed wanders slows all alike.
"""

import argparse
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch

warnings.filterwarnings("ignore")  # the rivals' own, about pandas and gymnasium

import gym_trading_env  # noqa: E402, F401 - registers the environment
import gymnasium  # noqa: E402
from gym_anytrading.envs import StocksEnv  # noqa: E402

from app.market.bars import Bars  # noqa: E402
from app.market.features import FeatureSchema, compute_features  # noqa: E402
from app.market.splits import Span  # noqa: E402
from app.market.trading import RETAIL_COSTS, EnvSpec  # noqa: E402
from worker.selftest.markets import draw_bars  # noqa: E402
from worker.trading.env import TradingEnv  # noqa: E402
from worker.trading.market import build_market  # noqa: E402

BARS, LOOKBACK, EPISODE = 10_000, 100, 1_000
NUM_ENVS = (1, 64, 1_024, 4_096)
FEE = RETAIL_COSTS.fee_bps * 1e-4

Burst = Callable[[float], float]
"""Seconds to step for -> environment steps a second."""


@dataclass(frozen=True)
class Contender:
    """One environment, ready to be stepped."""

    name: str
    burst: Burst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    describe_machine()
    bars = draw_bars(BARS, seed=1)
    contenders = [
        *(ours(bars, count, build=False) for count in NUM_ENVS),
        *(ours(bars, count, build=True) for count in NUM_ENVS[:3]),
        gym_trading(bars),
        gym_anytrading(bars),
    ]
    speeds = race(contenders, options.rounds, options.seconds)
    show(contenders, speeds)


def ours(bars: Bars, count: int, *, build: bool) -> Contender:
    """Our environment with `count` accounts; `build` also makes each observation."""
    market = build_market(bars, FeatureSchema(lookback=LOOKBACK))
    spec = EnvSpec(RETAIL_COSTS, episode_length=EPISODE)
    env = TradingEnv(market, Span(0, len(bars)), spec, num_envs=count)
    generator = torch.Generator().manual_seed(1)

    def burst(seconds: float) -> float:
        steps, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            step = env.step(torch.randint(3, (count,), generator=generator))
            if build:
                env.materialise(step.parts)
            steps += count
        return steps / elapsed

    return Contender(f"caliper, {count:,} envs, {'observations' if build else 'index only'}", burst)


def gym_trading(bars: Bars) -> Contender:
    """gym-trading-env with the same market columns in the same window."""
    schema = FeatureSchema(lookback=LOOKBACK)
    table = np.nan_to_num(compute_features(bars, schema))
    columns = {f"feature_{name}": table[:, i] for i, name in enumerate(schema.names)}
    env = gymnasium.make(
        "TradingEnv",
        df=pd.DataFrame(prices(bars) | columns, index=stamps(bars)),
        positions=[-1, 0, 1],
        windows=LOOKBACK,
        trading_fees=FEE,
        borrow_interest_rate=0.0,
        max_episode_duration=EPISODE,
        verbose=0,
        disable_env_checker=True,
    )
    return Contender("gym-trading-env, 1 env, observations", one_by_one(env, 3))


class WideStocks(StocksEnv):
    """gym-anytrading's stocks environment with columns of one's own, the way that its documentation shows."""

    def __init__(self, frame: pd.DataFrame, features: np.ndarray) -> None:
        self.features = features
        super().__init__(df=frame, window_size=LOOKBACK, frame_bound=(LOOKBACK, LOOKBACK + EPISODE))

    def _process_data(self) -> tuple[np.ndarray, np.ndarray]:
        first, stop = self.frame_bound
        closes, _ = super()._process_data()
        return closes, self.features[first - self.window_size : stop]


def gym_anytrading(bars: Bars) -> Contender:
    """gym-anytrading with the same market columns in the same window."""
    table = np.nan_to_num(compute_features(bars, FeatureSchema(lookback=LOOKBACK)))
    frame = pd.DataFrame({name.capitalize(): values for name, values in prices(bars).items()})
    return Contender("gym-anytrading, 1 env, observations", one_by_one(WideStocks(frame, table), 2))


def one_by_one(env: gymnasium.Env, actions: int) -> Burst:
    generator = np.random.default_rng(1)
    observation, _ = env.reset(seed=1)
    batch = np.empty((1, *observation.shape), dtype=np.float32)

    def burst(seconds: float) -> float:
        steps, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            observation, _, terminated, truncated, _ = env.step(int(generator.integers(actions)))
            batch[0] = observation
            if terminated or truncated:
                env.reset()
            steps += 1
        return steps / elapsed

    return burst


def prices(bars: Bars) -> dict[str, np.ndarray]:
    return {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}


def stamps(bars: Bars) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(bars.utc_us.astype("datetime64[us]"))


def race(contenders: list[Contender], rounds: int, seconds: float) -> dict[str, list[float]]:
    speeds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        contender.burst(seconds / 4)  # first calls allocate and import
    for turn in range(rounds):
        place = turn % len(contenders)
        for contender in contenders[place:] + contenders[:place]:
            speeds[contender.name].append(contender.burst(seconds))
    return speeds


def show(contenders: list[Contender], speeds: dict[str, list[float]]) -> None:
    rivals = [contender.name for contender in contenders if "gym" in contender.name]
    print(f"{'environment':<42}{'steps/s':>12}{'lowest':>12}{'highest':>12}", end="")
    print("".join(f"{'x ' + name.split(',')[0]:>34}" for name in rivals))
    for contender in contenders:
        found = speeds[contender.name]
        print(f"{contender.name:<42}{statistics.median(found):>12,.0f}", end="")
        print(f"{min(found):>12,.0f}{max(found):>12,.0f}", end="")
        print("".join(f"{ratio(found, speeds[name]):>34}" for name in rivals))


def ratio(ours_: list[float], theirs: list[float]) -> str:
    each = [a / b for a, b in zip(ours_, theirs, strict=True)]
    return f"{statistics.median(each):,.1f} ({min(each):,.1f} to {max(each):,.1f})"


def describe_machine() -> None:
    names = ("torch", "gym-trading-env", "gym-anytrading", "gymnasium", "numpy", "pandas")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {versions}")
    print(f"{BARS:,} bars, window of {LOOKBACK}, episodes of {EPISODE:,}, one thread")


if __name__ == "__main__":
    main()
