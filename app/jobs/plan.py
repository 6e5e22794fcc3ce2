"""TrainingPlan: everything that a training run is, resolved; API and worker build the same one.

The API makes it when a job is submitted, to check it and to predict the checkpoint's size; the job's row
keeps it as plain types; the worker reads it back and trains by it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from app.errors import InvalidConfig
from app.jobs.protocol import PLAN_VERSION
from app.market.account import trading_state_specs
from app.market.scaler import RobustScaler
from app.market.schema import FeatureSchema
from app.market.splits import Fold, Span
from app.market.trading import EnvSpec
from app.network.config import PPOConfig
from app.network.disk.contents import Provenance
from app.network.disk.pickle_size import TensorSpec
from app.network.first_layer import WindowGeometry
from app.network.memory.job_memory import JobData
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.tiers import find_tier

INDEX_BYTES, FLOAT_BYTES = 8, 4

MONEY_BYTES = 5 * 8
"""Per bar on the device beside the features: open, close, sigma, NATR, bars of a year."""

EPISODE_BYTES = 2 * 8
"""Per bar: whether an episode may start there, and where one must end."""


@dataclass(frozen=True, slots=True)
class PlannedDataset:
    """A dataset of the run, and how its own rows are split."""

    id: str
    name: str
    sha256: str
    rows: int
    declarations: dict[str, Any]
    fold: Fold

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `dataclasses.asdict`."""
        return cls(**{**values, "fold": Fold(**{k: Span(**span) for k, span in values["fold"].items()})})


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is trained, on what, and how; all datasets share the schema and, within a fold, its dates."""

    job_id: str
    tier: str
    ppo: PPOConfig
    schema: FeatureSchema
    environment: EnvSpec
    datasets: tuple[PlannedDataset, ...]
    scale_features: bool
    windows: WindowGeometry | None = None
    """The windows of training; None in rows from before this was kept, which are not sized again."""
    lanes: int = 0
    """Stretches of one dataset that the evaluation walks side by side, at most."""

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
    def dataset_ids(self) -> tuple[str, ...]:
        """Registry ids of the datasets, in the order of the request."""
        return tuple(dataset.id for dataset in self.datasets)

    @property
    def run_plan(self) -> RunPlan:
        """What the sizes of memory and file depend on beside shape and configuration."""
        device_type = find_tier(self.tier).device_type
        rows = sum(dataset.rows for dataset in self.datasets)
        return RunPlan(
            device_type=device_type,
            rollout_bytes_per_step=INDEX_BYTES,
            windows=self.windows,
            sliding_row_bytes=len(self.schema.account) * FLOAT_BYTES,
            episode_length=self.environment.episode_length,
            dataset_bytes=rows * (len(self.schema.names) * FLOAT_BYTES + MONEY_BYTES + EPISODE_BYTES),
            data=JobData(rows, max(dataset.rows for dataset in self.datasets), self.lanes),
            env_state=self._env_specs(device_type),
            provenance=self.provenance(self._blank_scalers()),
        )

    def provenance(self, scalers: Mapping[str, RobustScaler]) -> Provenance:
        """What the checkpoint says of its origin; equal sizes whatever the scalers' values.

        `scalers` are by dataset id, empty where features are not scaled. One dataset stands as such; of
        several each keeps its own hash, split and scaler.
        """
        schema = {**self.schema.plain(), "hash": self.schema.hash, "min_history": self.schema.min_history}
        schema |= {"own_hash": self.schema.own_hash} if self.schema.own else {}
        run = {"environment": self.environment.plain(), "job_id": self.job_id}
        listed = [asdict(dataset) for dataset in self.datasets]
        origin = {**listed[0], **run} if len(listed) == 1 else {"datasets": listed, **run}
        return Provenance(feature_schema=schema, normaliser=self._normaliser(scalers), dataset=origin)

    def plain(self) -> dict[str, Any]:
        """The plan as plain types, as the job's row keeps it."""
        return {
            "version": PLAN_VERSION,
            "tier": self.tier,
            "ppo": self.ppo.plain(),
            "schema": self.schema.plain(),
            "environment": self.environment.plain(),
            "datasets": [asdict(dataset) for dataset in self.datasets],
            "scale_features": self.scale_features,
            "windows": None if self.windows is None else asdict(self.windows),
            "lanes": self.lanes,
        }

    @classmethod
    def from_plain(cls, job_id: str, values: dict[str, Any]) -> Self:
        """Rebuild from `plain()`; raises InvalidConfig or InvalidInput for what this release does not know."""
        version = values.get("version", 1)  # the first release wrote none
        if version > PLAN_VERSION:
            hint = "update this worker, or submit the job anew with this release"
            raise InvalidConfig(f"the plan has version {version}, known up to {PLAN_VERSION}", hint=hint)
        return cls(
            job_id=job_id,
            tier=values["tier"],
            ppo=PPOConfig.from_plain({**values["ppo"], "hidden_dims": tuple(values["ppo"]["hidden_dims"])}),
            schema=FeatureSchema.from_plain(values["schema"]),
            environment=EnvSpec.from_plain(values["environment"]),
            datasets=tuple(PlannedDataset.from_plain(each) for each in _datasets(values)),
            scale_features=values["scale_features"],
            windows=WindowGeometry(**values["windows"]) if values.get("windows") else None,
            lanes=values.get("lanes", 0),
        )

    def _env_specs(self, device_type: Any) -> dict[str, TensorSpec]:
        schema = self.schema
        specs = trading_state_specs(self.ppo.num_envs, schema.lookback, len(schema.account), device_type)
        return {name: TensorSpec(size, dtype) for name, (size, dtype) in specs.items()}

    def _blank_scalers(self) -> dict[str, RobustScaler]:
        width = len(self.schema.names)
        blank = RobustScaler((0.0,) * width, (1.0,) * width)
        return {dataset.id: blank for dataset in self.datasets} if self.scale_features else {}

    def _normaliser(self, scalers: Mapping[str, RobustScaler]) -> dict[str, Any] | None:
        """The one scaler, or each dataset's under the hash of its bars; None where features are not scaled."""
        if not scalers:
            return None
        if len(self.datasets) == 1:
            return {"kind": "robust", **scalers[self.datasets[0].id].plain()}
        by_hash = {dataset.sha256: scalers[dataset.id].plain() for dataset in self.datasets}
        return {"kind": "robust_by_dataset", "datasets": by_hash}


def _datasets(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The datasets of a row; before a job could have several, `dataset` and `fold` stood in their place."""
    listed: list[dict[str, Any]] | None = values.get("datasets")
    return listed if listed is not None else [{**values["dataset"], "fold": values["fold"]}]
