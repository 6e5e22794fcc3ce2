"""JobSpec: what a user asks for when submitting a training job."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from app.market.trading import EnvSpec

TrainingMode = Literal["standard", "quick", "extended"]
UseCase = Literal["quick", "production", "complex", "limited_data", "extended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A training job as asked for; what is left out is chosen, and the job says why."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    dataset: str
    """Id or name of the dataset to train on."""
    total_timesteps: int
    """Environment steps to train for, over all environments."""
    name: str = ""
    """A name to find the job by; the dataset's name and the network's where left out."""
    training_mode: TrainingMode | None = None
    """The schedule; the network then follows from the GPU tier. `standard` where neither this nor use_case is given."""
    use_case: UseCase | None = None
    """What the policy is for; the network then follows from the notes' use-case table. Not beside training_mode."""
    hidden_dims: list[int] | None = None
    """Widths of the trunk's layers; overrides what tier or use case would choose."""
    seed: int | None = None
    """Seed of weights, action sampling, shuffling and episode starts; 1 where left out."""
    tier: str | None = None
    """GPU tier to train on; where left out, the strongest that has a live worker."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Any PPO setting by its name, e.g. {"learning_rate": 1e-3}; overrides the chosen default."""
    lookback: int = 100
    """Closed bars that an observation shows."""
    features: list[str] | None = None
    """Names of the market features to use, in order; all 48 of schema v1 where left out."""
    scale_features: bool = True
    """Scale features by median and interquartile range of the training span; the checkpoint keeps the scaler."""
    environment: EnvSpec = field(default_factory=EnvSpec)
    """Costs (never silently zero), actions, reward and episode length."""
    initial_checkpoint: str | None = None
    """Id or alias of a checkpoint of the same shape to start from instead of fresh weights."""
    max_attempts: int | None = None
    """Attempts that may crash or be lost before the job fails; the service's setting where left out."""
