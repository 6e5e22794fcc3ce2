"""Holds the first layer's cost model against the clock: `python benchmarks/first_layer.py`.

For networks, environments, steps and lengths of the training span, it times every way to compute a
minibatch's and a rollout's products of windows, and prints what the model chose, what was fastest, and how
much slower the choice is: than the better of the direct product and the convolution as the model would block it
(`method`), and than the fastest of all block lengths that were timed, too. Ways are timed in turns, each by its best of several; `--clock cpu` counts
processor seconds, which other processes on the machine disturb less.
"""

import argparse
import itertools
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import torch
from torch import Tensor

from app.network.config import PPOConfig
from app.network.first_layer import FirstLayerWork, Way, WindowGeometry, plan_first_layer
from worker.ppo.allocator import keep_freed_memory
from worker.ppo.env import WindowSeries
from worker.ppo.row_table import RowTable
from worker.ppo.window_source import make_acting_source, make_source

LOOKBACK, FEATURES, ACCOUNT = 100, 48, 500
NETWORKS = {"Tiny": 256, "Small": 512, "Medium": 1024, "Large": 2048}
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
ALLOWED = 1.10


@dataclass(frozen=True)
class Case:
    """One point of the grid."""

    network: str
    envs: int
    steps: int
    span: int

    @property
    def config(self) -> PPOConfig:
        """Its configuration."""
        return PPOConfig(
            hidden_dims=(NETWORKS[self.network],), num_envs=self.envs, num_steps=self.steps, num_minibatches=4
        )

    @property
    def geometry(self) -> WindowGeometry:
        """Its windows."""
        return WindowGeometry(LOOKBACK, FEATURES, self.span)

    def candidates(self, seconds: Callable[[Way], float], count: int) -> list[Way]:
        """Direct, table, and the block lengths that the model ranks first, last and in between."""
        ways = list(FirstLayerWork.of(self.config, self.geometry, "cpu").ways())
        blocks = sorted((way for way in ways if way.block), key=seconds)
        picked = {blocks[round(i * (len(blocks) - 1) / (count - 1))] for i in range(count)}
        return [way for way in ways if not way.block or way in picked]


def main() -> None:
    arguments = _parse()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    clock = CLOCKS[arguments.clock]
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {arguments.threads} thread(s), {arguments.clock} clock"
    )
    print(
        f"{'network':8}{'envs':>5}{'steps':>6}{'span':>8}  {'part':10}{'chosen':>18}{'ms':>9}{'fastest':>18}{'ms':>9}{'direct ms':>11}{'method':>8}{'of all':>8}"
    )
    worst = (0.0, 0.0)
    grid = itertools.product(arguments.networks, arguments.envs, arguments.steps, arguments.spans)
    for case in itertools.starmap(Case, grid):
        for part in ("minibatch", "rollout"):
            ratios = _compare(case, part, clock, arguments)
            worst = (max(worst[0], ratios[0]), max(worst[1], ratios[1]))
    for what, ratio in zip(("better of direct and convolution", "fastest of all ways"), worst, strict=True):
        verdict = "within" if ratio <= ALLOWED else "BEYOND"
        print(f"worst choice: {ratio:.2f} times the {what}, {verdict} {ALLOWED:.2f}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--envs", nargs="+", type=int, default=[2, 16, 64])
    parser.add_argument("--steps", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--spans", nargs="+", type=int, default=[1_500, 12_000, 100_000])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=4, help="block lengths timed at each point")
    return parser.parse_args()


def _compare(
    case: Case, part: str, clock: Callable[[], float], arguments: argparse.Namespace
) -> tuple[float, float]:
    """How much longer the choice takes than the better method, and than the fastest way."""
    work = FirstLayerWork.of(case.config, case.geometry, "cpu")
    modelled = work.minibatch_seconds if part == "minibatch" else work.rollout_seconds
    chosen = getattr(plan_first_layer(case.config, case.geometry, "cpu"), part)
    runs = {way: _prepare(case, way, part) for way in case.candidates(modelled, arguments.blocks)}
    times = _time(runs, clock, arguments.repeats)
    fastest = min(times, key=lambda way: times[way])
    direct = times[Way("direct")]
    convolved = min((way for way in times if way.block), key=modelled)
    better, best = (times[chosen] / each for each in (min(direct, times[convolved]), times[fastest]))
    print(
        f"{case.network:8}{case.envs:5}{case.steps:6}{case.span:8}  {part:10}{_short(chosen):>18}{1e3 * times[chosen]:9.2f}"
        f"{_short(fastest):>18}{1e3 * times[fastest]:9.2f}{1e3 * direct:11.2f}{better:8.2f}{best:8.2f}"
        f"  model {1e3 * modelled(chosen):.1f}/{1e3 * modelled(fastest):.1f}/{1e3 * modelled(Way('direct')):.1f}",
        flush=True,
    )
    return better, best


def _short(way: Way) -> str:
    return f"conv. {way.block}" if way.block else way.method


def _time(runs: dict[Way, Callable[[], None]], clock: Callable[[], float], repeats: int) -> dict[Way, float]:
    best = dict.fromkeys(runs, float("inf"))
    for turn in range(repeats + 1):
        for way, run in runs.items():
            started = clock()
            run()
            if turn:  # the first warms up
                best[way] = min(best[way], clock() - started)
    return best


def _prepare(case: Case, way: Way, part: str) -> Callable[[], None]:
    draw = torch.Generator().manual_seed(7)
    rows = case.span + LOOKBACK
    series = WindowSeries(
        torch.randn(rows, FEATURES, generator=draw), LOOKBACK, "row", ((LOOKBACK - 1, rows - 1),)
    )
    starts = torch.randint(LOOKBACK - 1, rows - case.steps - 1, (case.envs,), generator=draw)
    weight = torch.randn(NETWORKS[case.network], LOOKBACK * FEATURES + ACCOUNT, generator=draw)[:, :-ACCOUNT]
    prepare = _minibatch if part == "minibatch" else _rollout
    return prepare(case, way, series, starts, weight)


def _minibatch(
    case: Case, way: Way, series: WindowSeries, starts: Tensor, weight: Tensor
) -> Callable[[], None]:
    source = make_source(way, series, torch.float32)
    rows = (starts + torch.arange(case.steps)[:, None]).flatten()
    source.prepare(rows)
    some = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))[: len(rows) // 4]]
    grad = torch.randn(len(some), len(weight))
    gradient = torch.empty(len(weight), LOOKBACK * FEATURES + ACCOUNT)[:, :-ACCOUNT]

    def run() -> None:
        out = torch.zeros(len(some), len(weight))
        windows = source.windows(some)
        windows.add_to(out, weight)
        windows.gradient(grad, gradient)

    return run


def _rollout(
    case: Case, way: Way, series: WindowSeries, starts: Tensor, weight: Tensor
) -> Callable[[], None]:
    source = make_acting_source(way, series, torch.float32)
    table = None if way.method == "direct" else RowTable(series, source)

    def run() -> None:
        if table is not None:
            table.fill(weight, starts, case.steps + 1)
        for t in range(case.steps):
            if table is None:
                out = torch.zeros(case.envs, len(weight))
                source.windows(starts + t).add_to(out, weight)
            else:
                table.take(starts + t, case.steps - t)

    return run


if __name__ == "__main__":
    main()
