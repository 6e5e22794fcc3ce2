"""Train a small policy on the example's bars without any service: market, environment, trainer, checkpoint.

    python examples/train_as_library.py [total_timesteps]

Needs the worker's packages (torch). Prints progress, the figures on unseen bars, and what is in the file.
"""

# ruff: noqa: INP001, T201 - a script, which prints

import sys
from pathlib import Path

import torch

from app.checkpoint.inspect import inspect_checkpoint
from app.market.bars import read_bars
from app.market.declarations import Declarations
from app.market.schema import FeatureSchema
from app.market.splits import split_fold
from app.market.trading import Costs, EnvSpec
from app.network.auto_config import resolve_config
from app.network.disk.contents import LearnedState, Provenance, checkpoint_contents
from app.network.shape import NetworkShape
from worker.ppo.trainer import NativePPOTrainer
from worker.save import save_checkpoint
from worker.trading.env import TradingEnv
from worker.trading.evaluate import evaluate
from worker.trading.market import build_market

BARS = Path(__file__).parent / "data" / "googl_1d.csv"
DECLARED = Declarations(calendar="XNYS", label="open", adjusted="split", volume_unit="shares")
COSTS = Costs(fee_bps=1.0, half_spread_bps=1.0, slippage=0.02, borrow_bps_per_year=300.0)
"""About what a large US share costs to trade; state your own."""

LOOKBACK = 20
"""Bars that an observation shows; 53 features of 20 bars make obs_dim 1060."""


def main(total_timesteps: int, target: Path) -> None:
    """Train, judge on the test span, save, and read the file back without running it."""
    bars = read_bars(BARS, DECLARED)
    fold = split_fold(bars, LOOKBACK)
    environment = EnvSpec(COSTS)
    schema = FeatureSchema(lookback=LOOKBACK)
    market = build_market(bars, schema, torch.device("cpu"), None)

    config = resolve_config("cpu", total_timesteps, overrides={"hidden_dims": (64, 32)}).config
    env = TradingEnv(market, fold.train, environment, num_envs=config.num_envs, seed=config.seed)
    trainer = NativePPOTrainer(env, config)
    for progress in trainer.train():
        step = f"step {progress.global_step:>8,} of {total_timesteps:,}"
        print(f"{step}   {progress.steps_per_second:>6,.0f} steps/s   value loss {progress.value_loss:.4f}")

    evaluation = evaluate(trainer.decide, market, fold.spans(), environment)
    for span in evaluation.spans:
        held, policy = span.buy_and_hold.total_return, span.policy.total_return
        print(f"{span.name:>10}: policy {policy:+.1%}, buy & hold {held:+.1%}, after costs")
    print("\n".join(evaluation.verdict))

    shape = NetworkShape(schema.obs_dim, config.hidden_dims, environment.actions.action_dim)
    learned = LearnedState(**trainer.state_dict())
    contents = checkpoint_contents(shape, config, learned, Provenance(feature_schema=schema.plain()))
    saved = save_checkpoint(target, contents)
    report = inspect_checkpoint(saved.path)
    print(f"{saved.path}: {saved.bytes:,} bytes, {report.parameters:,} parameters by {report.producer}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8_192, Path("example.pt"))
