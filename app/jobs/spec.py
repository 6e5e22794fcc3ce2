"""JobSpec: what a user asks for when submitting a training job."""

import re
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from app.errors import InvalidConfig, LimitExceeded
from app.market.trading import RETAIL_COSTS, EnvSpec

TrainingMode = Literal["standard", "quick", "extended"]
UseCase = Literal["quick", "production", "complex", "limited_data", "extended"]

EXAMPLE = "example"
"""Key of a field's metadata: a value that shows a user who left it out what belongs there."""

MAX_DATASETS = 100
"""Most datasets of one job."""

MAX_PRIORITY = 10
"""Highest priority; the lowest is as far below 0."""

MAX_HOURS = 8_784
"""Longest time limit: a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A training job as asked for; what is left out is chosen, and the job says why."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    dataset: str | None = None
    """Id or name of the dataset to train on; not beside `datasets`."""
    datasets: list[str] | None = None
    """Ids or names of several datasets of the same bar, all trained on at once; each is evaluated alone."""
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
    """GPU tier to train on; where left out, the smallest with a live worker whose card holds the run."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Any PPO setting by its name, e.g. {"learning_rate": 1e-3}; overrides the chosen default."""
    lookback: int = 100
    """Closed bars that an observation shows."""
    features: list[str] | None = None
    """Features to use, in order: market features and feature columns of the datasets' own, by name. Left out:
    all 48 of schema v1, then every own column that all the datasets have."""
    scale_features: bool = True
    """Scale features by median and interquartile range of the training span; the checkpoint keeps the scaler."""
    environment: EnvSpec = field(metadata={EXAMPLE: {"costs": asdict(RETAIL_COSTS)}})
    """Costs, which must be stated, 0 included; actions, reward and episode length."""
    folds: int | None = None
    """Walk-forward folds, of which a job trains one: training always begins at the first bar and grows. One
    split of 60/20/20 where left out."""
    fold: int | None = None
    """Which of the folds, from 1; the last where left out."""
    walk_forward: str | None = None
    """A name of your choice that the jobs of all folds share; their evaluations then show all folds together."""
    initial_checkpoint: str | None = None
    """Id or alias of a checkpoint of the same shape to start from instead of fresh weights."""
    max_attempts: int | None = None
    """Attempts that may crash or be lost before the job fails; the service's setting where left out."""
    priority: int = 0
    """From -10 to 10; of the jobs that wait for a tier those of the highest are taken first. With API keys only
    admins may go above 0."""
    max_hours: float | None = None
    """Hours that workers may hold the job, all attempts together, waiting not counted; then it writes a last
    checkpoint and fails, and may be resumed. No limit where left out."""

    def __post_init__(self) -> None:
        """Raise InvalidConfig unless `dataset` or `datasets` names what to train on."""
        hint = "dataset for one, datasets for one or more"
        if self.dataset is not None and self.datasets is not None:
            raise InvalidConfig("dataset and datasets are both given", hint=hint, pointer="datasets")
        if self.dataset is None and not self.datasets:
            raise InvalidConfig("no dataset is named", hint=hint, pointer="datasets")
        count = len(self.dataset_names)
        if count > MAX_DATASETS:
            raise LimitExceeded("datasets", limit=MAX_DATASETS, actual=count, pointer="datasets")
        if self.walk_forward is not None:
            _check_group(self.walk_forward, self.folds)
        if abs(self.priority) > MAX_PRIORITY:
            hint = f"from {-MAX_PRIORITY} to {MAX_PRIORITY}"
            raise InvalidConfig(f"priority is {self.priority}", hint=hint, pointer="priority")
        if self.max_hours is not None and not 0 < self.max_hours <= MAX_HOURS:
            hint = f"above 0, at most {MAX_HOURS:,}"
            raise InvalidConfig(f"max_hours is {self.max_hours:g}", hint=hint, pointer="max_hours")

    @property
    def dataset_names(self) -> tuple[str, ...]:
        """Ids or names of all datasets to train on, in the order given."""
        return (self.dataset,) if self.dataset is not None else tuple(self.datasets or ())


def _check_group(name: str, folds: int | None) -> None:
    if folds is None:
        hint = "give folds, the number of the group's jobs"
        raise InvalidConfig("a walk_forward group has no folds", hint=hint, pointer="folds")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", name):
        hint = "1 to 60 letters, digits, `_`, `.` or `-`"
        raise InvalidConfig(f"walk_forward is {name[:80]!r}", hint=hint, pointer="walk_forward")
