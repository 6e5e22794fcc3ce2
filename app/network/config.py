"""PPOConfig: every setting of a training run, in the field's own words; no torch needed to read it."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self

from app.errors import InvalidConfig
from app.network.shape import DOCUMENTED, check_hidden_dims

Activation = Literal["tanh", "relu", "elu", "silu"]
Precision = Literal["fp32", "tf32", "bf16", "auto"]
FirstLayerMethod = Literal["auto", "direct", "table", "convolution"]


@dataclass(slots=True)
class PPOConfig:
    """The whole configuration of a PPO run; mutable, so that `config.hidden_dims = (…)` overrides.

    `check()` raises InvalidConfig or InvalidShape with the field at fault; the trainer calls it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    hidden_dims: tuple[int, ...] = (512, 256, 128)
    """Widths of the trunk's layers."""
    total_timesteps: int = 1_000_000
    """Environment steps to train for, over all environments; rounded up to whole updates."""
    num_envs: int = 16
    """Environments stepped at once."""
    num_steps: int = 128
    """Steps of each environment between two updates."""
    num_minibatches: int = 4
    """Parts that each epoch shuffles the batch into; must divide num_envs * num_steps."""
    update_epochs: int = 4
    """Passes over the batch per update."""
    learning_rate: float = 2.5e-4
    """Adam's step size at the start."""
    anneal_lr: bool = True
    """Lower the learning rate linearly to 0 over the run."""
    gamma: float = 0.99
    """Discount of future rewards."""
    gae_lambda: float = 0.95
    """The λ of generalised advantage estimation."""
    clip_coef: float = 0.2
    """How far the probability ratio may leave 1 in the surrogate loss."""
    anneal_clip: bool = False
    """Lower clip_coef linearly to 0 over the run."""
    clip_vloss: bool = True
    """Clip the value loss around the old value by clip_coef."""
    norm_adv: bool = True
    """Normalise advantages within each minibatch."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    max_grad_norm: float = 0.5
    """Global gradient norm above which gradients are scaled down."""
    target_kl: float | None = None
    """Stop an update's epochs once the approximate KL divergence passes this; None never stops."""
    activation: Activation = "tanh"
    """Activation after every hidden layer."""
    layer_norm: bool = False
    """LayerNorm after each trunk layer, before its activation."""
    shared_trunk: bool = True
    """One trunk for actor and critic, or one each."""
    desired_kl: float | None = None
    """Adapt the learning rate after each update, by a factor of 1.5, to keep the approximate KL divergence
    between half and twice this; needs anneal_lr off. None leaves the learning rate alone."""
    norm_obs: bool = False
    """Normalise observations by running mean and variance."""
    norm_reward: bool = False
    """Scale rewards by the running deviation of the discounted return."""
    precision: Precision = "fp32"
    """Arithmetic of the network: fp32, tf32 (CUDA) or bf16 autocast; auto is bf16 where the device multiplies
    it by its own instructions, else fp32."""
    first_layer: FirstLayerMethod = "auto"
    """How the first layer's products with overlapping windows are computed: direct, table (each distinct
    window once) or convolution; auto takes the fastest by a cost model. All give the same but for rounding."""
    oom_retry: bool = False
    """Where memory runs out, repeat the update with minibatches of half the size instead of failing."""
    seed: int = 1
    """Seed of weights, action sampling, shuffling and environments."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep `hidden_dims` a tuple whatever sequence is assigned."""
        is_list = name == "hidden_dims" and isinstance(value, list)
        object.__setattr__(self, name, tuple(value) if is_list else value)

    @property
    def batch_size(self) -> int:
        """Environment steps per update."""
        return self.num_envs * self.num_steps

    @property
    def minibatch_size(self) -> int:
        """Samples per optimizer step."""
        return self.batch_size // self.num_minibatches

    @property
    def num_updates(self) -> int:
        """Updates in the whole run."""
        return max(1, math.ceil(self.total_timesteps / self.batch_size))

    def check(self) -> Self:
        """Return the config itself, or raise with the first field that is out of range."""
        self.check_fields()
        if self.batch_size % self.num_minibatches:
            raise InvalidConfig(
                f"num_minibatches={self.num_minibatches} does not divide num_envs*num_steps={self.batch_size}",
                hint="choose a divisor of the batch",
                pointer="num_minibatches",
            )
        if self.desired_kl is not None and self.anneal_lr:
            raise InvalidConfig(
                "desired_kl adapts the learning rate that anneal_lr lowers by a plan",
                hint="anneal_lr=false, or leave desired_kl out",
                pointer="desired_kl",
            )
        if self.norm_obs and self.first_layer in SHARES_WINDOWS:
            raise InvalidConfig(
                f"first_layer is {self.first_layer!r}, but norm_obs clips each column, which no sum of products gives",
                hint="first_layer auto or direct, or leave norm_obs out",
                pointer="first_layer",
            )
        return self

    def check_fields(self) -> None:
        """Check each field by itself, not yet that the minibatches divide the batch."""
        if not isinstance(self.hidden_dims, tuple):
            raise InvalidConfig(
                f"hidden_dims is {self.hidden_dims!r}", hint="a tuple of whole numbers", pointer="hidden_dims"
            )
        check_hidden_dims(self.hidden_dims)
        for name, (low, high) in RANGES.items():
            _check_range(name, getattr(self, name), low, high)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InvalidConfig(
                    f"{name} is {getattr(self, name)!r}", hint=f"one of {', '.join(allowed)}", pointer=name
                )
        for name in FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise InvalidConfig(f"{name} is {getattr(self, name)!r}", hint="true or false", pointer=name)

    def plain(self) -> dict[str, Any]:
        """The config as plain types, as a checkpoint and the registry store it."""
        return {**asdict(self), "hidden_dims": list(self.hidden_dims)}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `plain()`; raises InvalidConfig on an unknown field."""
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise InvalidConfig(
                    f"unknown field {name!r}", hint=f"known: {', '.join(sorted(known))}", pointer=name
                )
        return cls(**values).check()


CHOICES: dict[str, tuple[str, ...]] = {
    "activation": ("tanh", "relu", "elu", "silu"),
    "precision": ("fp32", "tf32", "bf16", "auto"),
    "first_layer": ("auto", "direct", "table", "convolution"),
}

SHARES_WINDOWS: tuple[FirstLayerMethod, ...] = ("table", "convolution")
"""Ways of the first layer that need windows which the trainer knows of, as they are."""

FLAGS = (
    "anneal_lr",
    "anneal_clip",
    "clip_vloss",
    "norm_adv",
    "layer_norm",
    "shared_trunk",
    "norm_obs",
    "norm_reward",
    "oom_retry",
)
"""Fields that are true or false."""

RANGES: dict[str, tuple[float, float]] = {
    "total_timesteps": (1, 10**13),
    "num_envs": (1, 1_048_576),
    "num_steps": (1, 1_048_576),
    "num_minibatches": (1, 1_048_576),
    "update_epochs": (1, 1_000),
    "learning_rate": (1e-9, 10.0),
    "gamma": (0.0, 1.0),
    "gae_lambda": (0.0, 1.0),
    "clip_coef": (1e-6, 10.0),
    "ent_coef": (0.0, 100.0),
    "vf_coef": (0.0, 100.0),
    "max_grad_norm": (1e-9, 1e9),
    "target_kl": (1e-9, 1e3),
    "desired_kl": (1e-9, 1e3),
    "seed": (0, 2**63 - 1),
}
"""Smallest and largest allowed value of each numeric field."""

_OPTIONAL = frozenset({"target_kl", "desired_kl"})
"""Numeric fields that may be None."""

_WHOLE = frozenset({"total_timesteps", "num_envs", "num_steps", "num_minibatches", "update_epochs", "seed"})


def _check_range(name: str, value: Any, low: float, high: float) -> None:
    if value is None and name in _OPTIONAL:
        return
    numeric = isinstance(value, int if name in _WHOLE else int | float) and not isinstance(value, bool)
    if not numeric or not low <= value <= high:
        kind = "a whole number" if name in _WHOLE else "a number"
        raise InvalidConfig(f"{name} is {value!r}", hint=f"{kind} from {low:g} to {high:g}", pointer=name)
