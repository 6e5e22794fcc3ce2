"""From a plan and its bars to a trainer that is ready to go."""

from dataclasses import dataclass
from typing import Any

import torch

from app.errors import TrainingFailed
from app.jobs.plan import TrainingPlan
from app.market.bars import Bars
from app.market.evaluation import Evaluation
from app.market.features import compute_features
from app.market.scaler import RobustScaler
from app.network.contents import LearnedState, checkpoint_contents
from app.network.tiers import find_tier
from worker.ppo.trainer import NativePPOTrainer
from worker.trading.env import TradingEnv
from worker.trading.evaluate import evaluate
from worker.trading.market import MarketTensors, build_market


@dataclass(frozen=True, slots=True)
class Assembly:
    """A trainer with all that it stands on."""

    plan: TrainingPlan
    market: MarketTensors
    scaler: RobustScaler | None
    trainer: NativePPOTrainer

    def contents(self) -> dict[str, Any]:
        """The checkpoint of this moment, ready to be saved."""
        learned = LearnedState(**self.trainer.state_dict())
        return checkpoint_contents(self.plan.shape, self.plan.ppo, learned, self.plan.provenance(self.scaler))

    def evaluate(self) -> Evaluation:
        """The deterministic policy on training, validation and test spans, baselines beside it."""
        return evaluate(self.trainer.decide, self.market, self.plan.fold.spans(), self.plan.environment)


def assemble(plan: TrainingPlan, bars: Bars) -> Assembly:
    """Build market, environment and trainer on the tier's device.

    The scaler sees the training span only. Raises TrainingFailed where the tier's device is missing.
    """
    device = find_device(plan.tier)
    scaler = _fit_scaler(plan, bars) if plan.scale_features else None
    market = build_market(bars, plan.schema, device, scaler)
    env = TradingEnv(
        market, plan.fold.train, plan.environment, num_envs=plan.ppo.num_envs, seed=plan.ppo.seed
    )
    return Assembly(plan, market, scaler, NativePPOTrainer(env, plan.ppo))


def find_device(tier: str) -> torch.device:
    """The device that jobs of this tier run on here; raises TrainingFailed where there is none."""
    wanted = find_tier(tier).device_type
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingFailed(
            f"the job is for tier {tier}, but this worker sees no GPU", hint="check its driver and queue"
        )
    return torch.device(wanted)


def _fit_scaler(plan: TrainingPlan, bars: Bars) -> RobustScaler:
    features = compute_features(bars, plan.schema)
    return RobustScaler.fit(features, plan.fold.train.start, plan.fold.train.stop)
