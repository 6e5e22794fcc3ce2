"""TrainingPlan: everything that a training run is, resolved; API and worker build the same one.

The API makes it when a job is submitted, to check it and to predict the checkpoint's size; the job's row
keeps it as plain types; the worker reads it back and trains by it.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

from app.market.account import trading_state_specs
from app.market.scaler import RobustScaler
from app.market.schema import FeatureSchema
from app.market.splits import Fold, Span
from app.market.trading import EnvSpec
from app.network.config import PPOConfig
from app.network.contents import Provenance
from app.network.pickle_size import TensorSpec
from app.network.run_memory import RunPlan
from app.network.shape import NetworkShape
from app.network.tiers import find_tier

INDEX_BYTES, FLOAT_BYTES = 8, 4


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is trained, on what, and how."""

    job_id: str
    tier: str
    ppo: PPOConfig
    schema: FeatureSchema
    environment: EnvSpec
    fold: Fold
    scale_features: bool
    dataset: dict[str, Any]

    @property
    def shape(self) -> NetworkShape:
        """The policy network."""
        actions = self.environment.actions
        return NetworkShape(
            self.schema.obs_dim,
            self.ppo.hidden_dims,
            actions.action_dim,
            actions.kind,
            self.ppo.layer_norm,
            self.ppo.shared_trunk,
        )

    @property
    def run_plan(self) -> RunPlan:
        """What the sizes of memory and file depend on beside shape and configuration."""
        device_type = find_tier(self.tier).device_type
        account = self.schema.lookback * len(self.schema.account) * FLOAT_BYTES
        rows = int(self.dataset["rows"])
        return RunPlan(
            device_type=device_type,
            rollout_bytes_per_step=INDEX_BYTES + account,
            dataset_bytes=rows * (len(self.schema.names) * FLOAT_BYTES + 4 * 8),
            env_state=self._env_specs(device_type),
            provenance=self.provenance(self._blank_scaler()),
        )

    def provenance(self, scaler: RobustScaler | None) -> Provenance:
        """What the checkpoint says of its origin; equal sizes whatever the scaler's values."""
        schema = {**self.schema.plain(), "hash": self.schema.hash, "min_history": self.schema.min_history}
        origin = {
            **self.dataset,
            "fold": asdict(self.fold),
            "environment": self.environment.plain(),
            "job_id": self.job_id,
        }
        normaliser = None if scaler is None else {"kind": "robust", **scaler.plain()}
        return Provenance(feature_schema=schema, normaliser=normaliser, dataset=origin)

    def plain(self) -> dict[str, Any]:
        """The plan as plain types, as the job's row keeps it."""
        return {
            "tier": self.tier,
            "ppo": self.ppo.plain(),
            "schema": self.schema.plain(),
            "environment": self.environment.plain(),
            "fold": asdict(self.fold),
            "scale_features": self.scale_features,
            "dataset": self.dataset,
        }

    @classmethod
    def from_plain(cls, job_id: str, values: dict[str, Any]) -> Self:
        """Rebuild from `plain()`; raises InvalidConfig or InvalidInput for what this release does not know."""
        return cls(
            job_id=job_id,
            tier=values["tier"],
            ppo=PPOConfig.from_plain({**values["ppo"], "hidden_dims": tuple(values["ppo"]["hidden_dims"])}),
            schema=FeatureSchema.from_plain(values["schema"]),
            environment=EnvSpec.from_plain(values["environment"]),
            fold=Fold(**{name: Span(**span) for name, span in values["fold"].items()}),
            scale_features=values["scale_features"],
            dataset=values["dataset"],
        )

    def _env_specs(self, device_type: Any) -> dict[str, TensorSpec]:
        schema = self.schema
        specs = trading_state_specs(self.ppo.num_envs, schema.lookback, len(schema.account), device_type)
        return {name: TensorSpec(size, dtype) for name, (size, dtype) in specs.items()}

    def _blank_scaler(self) -> RobustScaler | None:
        width = len(self.schema.names)
        return RobustScaler((0.0,) * width, (1.0,) * width) if self.scale_features else None
