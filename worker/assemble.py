"""From a plan and its bars to a trainer that is ready to go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from app.errors import TrainingFailed
from app.jobs.plan import PlannedDataset, TrainingPlan
from app.market.bars import Bars
from app.market.scaler import RobustScaler
from app.market.significance import Trials
from app.network.disk.contents import LearnedState, checkpoint_contents
from app.network.tiers import find_tier
from worker.ppo.trainer import NativePPOTrainer
from worker.trading.env import TradingEnv
from worker.trading.evaluate import Examined, examine
from worker.trading.join import JoinedMarkets, join_markets
from worker.trading.market import MarketTensors, load_market
from worker.trading.table import fill_features, fit_scaler, scale_table


@dataclass(frozen=True, slots=True)
class Assembly:
    """A trainer with all that it stands on."""

    plan: TrainingPlan
    markets: JoinedMarkets
    """One asset after the other, in the order of `plan.datasets`."""
    scalers: Mapping[str, RobustScaler]
    """By dataset id; empty where features are not scaled."""
    trainer: NativePPOTrainer

    def contents(self) -> dict[str, Any]:
        """The checkpoint of this moment, ready to be saved."""
        learned = LearnedState(**self.trainer.state_dict())
        origin = self.plan.provenance(self.scalers)
        # The trainer's configuration: after memory ran out it has more minibatches than the plan's.
        return checkpoint_contents(self.plan.shape, self.trainer.config, learned, origin)

    @property
    def assets(self) -> tuple[tuple[PlannedDataset, MarketTensors], ...]:
        """Each dataset with its own market, whose rows are the dataset's; for evaluation."""
        return tuple(zip(self.plan.datasets, self.markets.parts, strict=True))

    def examine(self, trials: Mapping[str, Trials]) -> dict[str, Examined]:
        """The deterministic policy on each asset alone, all baselines beside it, in the plan's order.

        `trials` are the runs that have opened each asset's test span; both go by dataset id.
        """
        return {
            dataset.id: examine(
                self.trainer.decide,
                market,
                dataset.fold.spans(),
                self.plan.environment,
                trials=trials[dataset.id],
                parameters=self.plan.shape.parameters,
            )
            for dataset, market in self.assets
        }


def assemble(plan: TrainingPlan, bars: Mapping[str, Bars]) -> Assembly:
    """Build markets, environment and trainer on the tier's device; `bars` are by dataset id.

    Each asset's scaler sees its own training span only. Raises TrainingFailed where the tier's device is
    missing.
    """
    device = find_device(plan.tier)
    markets, scalers = _build_markets(plan, bars, device)
    spans = markets.shift([dataset.fold.train for dataset in plan.datasets])
    env = TradingEnv(markets.whole, spans, plan.environment, num_envs=plan.ppo.num_envs, seed=plan.ppo.seed)
    return Assembly(plan, markets, scalers, NativePPOTrainer(env, plan.ppo))


def find_device(tier: str) -> torch.device:
    """The device that jobs of this tier run on here; raises TrainingFailed where there is none."""
    wanted = find_tier(tier).device_type
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingFailed(
            f"the job is for tier {tier}, but this worker sees no GPU", hint="check its driver and queue"
        )
    return torch.device(wanted)


def _build_markets(
    plan: TrainingPlan, bars: Mapping[str, Bars], device: torch.device
) -> tuple[JoinedMarkets, dict[str, RobustScaler]]:
    """All assets' markets in one table that is filled and scaled in place, asset by asset."""
    lengths = [len(bars[dataset.id]) for dataset in plan.datasets]
    features_TF = torch.empty((sum(lengths), len(plan.schema.names)))
    markets, scalers = [], {}
    for dataset, rows_TF in zip(plan.datasets, torch.split(features_TF, lengths), strict=True):
        own, table_TF = bars[dataset.id], rows_TF.numpy()
        fill_features(table_TF, own, plan.schema)
        if plan.scale_features:
            scalers[dataset.id] = fit_scaler(table_TF, dataset.fold.train)
        scale_table(table_TF, scalers.get(dataset.id))
        markets.append(load_market(own, plan.schema, rows_TF))
    return join_markets(markets, device, features_TF), scalers
