"""One job's computing in a process of its own, from bars to the judged policy: its peak memory, printed as JSON; `benchmarks/memory.py` starts it."""

import argparse
import json
from dataclasses import asdict

import torch

import worker.run  # noqa: F401 - for its size: this process is to be as large as a worker's
from app.jobs.plan import PlannedDataset, TrainingPlan
from app.market.bars import Bars
from app.market.lane_lengths import count_lanes
from app.market.schema import FeatureSchema
from app.market.significance import Trials
from app.market.splits import split_fold, window_ranges
from app.market.trading import RETAIL_COSTS, EnvSpec
from app.network.config import PPOConfig
from app.network.first_layer import WindowGeometry
from app.network.memory.run_memory import run_memory
from app.network.tiers import TIERS
from benchmarks.memory_process import read_peak
from worker.assemble import assemble
from worker.ppo.allocator import keep_freed_memory
from worker.selftest.markets import draw_bars


def main() -> None:
    """Make the market, train for two updates, judge the policy, and print what was held."""
    options = _parse()
    torch.set_num_threads(1)
    bars = draw_bars(options.bars, seed=1)
    plan = _plan(options, bars)
    read = read_peak()
    assembly = assemble(plan, {"drawn": bars})
    keep_freed_memory()
    made = read_peak()
    for _ in assembly.trainer.train():
        pass
    trained = read_peak()
    assembly.trainer.release()
    assembly.examine({"drawn": Trials(1)})
    estimate = run_memory(plan.shape, plan.ppo, plan.run_plan)
    peaks = {"read": read, "made": made, "trained": trained, "peak": read_peak()}
    told = {"tensors": estimate.tensor_bytes, "total": estimate.total_bytes, "instant": estimate.peak_instant}
    print(json.dumps({**peaks, **told}))


def _plan(options: argparse.Namespace, bars: Bars) -> TrainingPlan:
    """As a submitted job's."""
    schema, fold = FeatureSchema(), split_fold(bars)
    ranges = window_ranges(bars.segments, fold.train, schema.lookback)
    rows = [stop - start for start, stop in ranges]
    ppo = PPOConfig(
        hidden_dims=tuple(int(width) for width in options.hidden.split(",")),
        num_envs=options.envs,
        num_steps=options.steps,
        update_epochs=1,
        total_timesteps=2 * options.envs * options.steps,
        precision="fp32",
    )
    return TrainingPlan(
        job_id="job_measured",
        tier="cpu",
        ppo=ppo,
        schema=schema,
        environment=EnvSpec(RETAIL_COSTS),
        datasets=(PlannedDataset("drawn", "drawn", "", len(bars), asdict(bars.declarations), fold),),
        scale_features=True,
        windows=WindowGeometry(
            schema.lookback, len(schema.names), sum(rows), len(rows), len(bars), min(rows)
        ),
        lanes=count_lanes(bars.segments, fold.spans().values(), schema.lookback),
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", default=",".join(map(str, TIERS["cpu"].hidden_dims)))
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--bars", type=int, default=20_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
