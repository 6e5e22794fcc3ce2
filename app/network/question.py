"""What a user asks about a network: its shape, how it is to be trained, and on what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, get_args

from app.defaults import CPU_MEMORY_BYTES
from app.errors import InvalidConfig, InvalidInput
from app.network.config import SHARES_WINDOWS, Activation, FirstLayerMethod, PPOConfig, Precision
from app.network.fits.cards import Card, find_card
from app.network.memory.device_overhead import DeviceType
from app.network.memory.run_plan import RunPlan
from app.network.memory.update_plan import AdamKind
from app.network.memory.windows import Windows, read_windows
from app.network.shape import DOCUMENTED, ActionKind, NetworkShape
from app.network.timing.calibration import Calibration
from app.network.use_cases import TrainingMode

MOST_EPISODE_STEPS = 10**9
"""Most steps of an episode that may be asked about."""

MOST_DATASET_BYTES = 1 << 50
"""Most bytes of bars and features that may be asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A network, how it is to be trained, and on what."""

    obs_dim: int
    hidden_dims: tuple[int, ...]
    action_dim: int = 3
    action_kind: ActionKind = "discrete"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of PPO by name, without hidden_dims."""
    device: DeviceType | None = None
    """Where tensors live; cuda where neither this nor gpu is given."""
    gpu: str | None = None
    """A card's name."""
    memory_bytes: int | None = None
    """The device's memory, in place of a name or to be more exact about it."""
    adam: AdamKind = "fused"
    """Which of torch's Adam implementations steps."""
    world_size: int = 1
    """Processes that train one policy together, a device each; memory is that of one of them."""
    dataset_bytes: int = 0
    """Bars and features kept on the device, beside the series of windows."""
    lookback: int | None = None
    """Rows of a window, where observations are windows over a series."""
    features: int | None = None
    """Columns of that series."""
    rows: int | None = None
    """Rows of that series."""
    episode_length: int | None = None
    """Steps after which an episode ends at the latest; None where that is not said."""
    training_mode: TrainingMode = "standard"
    """The schedule that the tiers' automatic configurations follow."""
    cpu_memory_bytes: int = CPU_MEMORY_BYTES
    """What a run on the cpu tier may take where it is asked: a service's own setting."""
    calibration: Calibration | None = None
    """A measured device by whose speed time is predicted; where no other is named, it is also the device asked about."""

    @property
    def device_type(self) -> DeviceType:
        """Where tensors live."""
        if self.device is None and self.calibration is not None and not self.gpu:
            return self.calibration.device_type
        return self.device or "cuda"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the answer holds for: everything that was asked for, and the defaults of what was not."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    device: DeviceType
    """Where tensors live."""
    num_envs: int
    """Environments stepped at once."""
    num_steps: int
    """Steps of each between two updates."""
    num_minibatches: int
    """Minibatches that each epoch is cut into."""
    batch_size: int
    """Samples of an update: num_envs·num_steps."""
    minibatch_size: int
    """Samples of an optimizer step: batch_size / num_minibatches."""
    update_epochs: int
    """Passes over the batch per update."""
    total_timesteps: int
    """Environment steps of the whole run."""
    num_updates: int
    """Updates of the whole run."""
    activation: Activation
    """Activation after every hidden layer."""
    precision: Precision
    """Arithmetic of the network."""
    first_layer: FirstLayerMethod
    """How the first layer's products with overlapping windows are computed."""
    adam: AdamKind
    """Which of torch's Adam implementations steps."""
    world_size: int
    """Processes that train one policy together, a device each; memory is that of one of them."""
    layer_norm: bool
    """LayerNorm after each trunk layer."""
    shared_trunk: bool
    """One trunk for actor and critic, or one each."""
    norm_obs: bool
    """Observations normalised by running mean and variance."""
    norm_reward: bool
    """Rewards scaled by the running deviation of the return."""
    norm_adv: bool
    """Advantages normalised within each minibatch."""
    clip_vloss: bool
    """The value loss clipped around the old value."""
    oom_retry: bool
    """An update repeated with smaller minibatches where memory runs out; a CPU keeps a copy of the weights for it."""
    dataset_bytes: int
    """Bars and features kept on the device, the series of windows included."""
    episode_length: int | None = None
    """Steps after which an episode ends at the latest; null where that was not said."""
    windows: Windows | None = None
    """The windows that observations are; null where they are stored as they are."""


def check_config(question: Question) -> PPOConfig:
    """The whole configuration; raises InvalidConfig or InvalidShape for what no run can have.

    InvalidInput for an unknown card.
    """
    _check_choice("adam", question.adam, get_args(AdamKind))
    _check_choice("training_mode", question.training_mode, get_args(TrainingMode))
    config = PPOConfig(hidden_dims=question.hidden_dims, **question.settings).check()
    _check_world(config, question.world_size)
    # Fewer than none would be taken off what the run needs, and let it fit where it does not.
    _check_between("dataset_bytes", question.dataset_bytes, 0, MOST_DATASET_BYTES)
    if question.episode_length is not None:
        _check_between("episode_length", question.episode_length, 1, MOST_EPISODE_STEPS)
    _check_first_layer(question, config)
    _check_measured(question)
    return config


def shape_of(question: Question, config: PPOConfig) -> NetworkShape:
    """The network, with what the settings of PPO say about it."""
    return NetworkShape(
        question.obs_dim,
        question.hidden_dims,
        question.action_dim,
        question.action_kind,
        config.layer_norm,
        config.shared_trunk,
    )


def plan_of(question: Question) -> RunPlan:
    """How the run would be carried out."""
    windows = _windows(question)
    plan = RunPlan(
        device_type=question.device_type,
        episode_length=question.episode_length,
        dataset_bytes=question.dataset_bytes,
        adam=question.adam,
        processes=question.world_size,
    )
    if windows is None:
        return plan
    return replace(
        plan,
        rollout_bytes_per_step=windows.stored_bytes,
        windows=windows.geometry,
        sliding_row_bytes=windows.account_bytes(question.obs_dim),
        dataset_bytes=question.dataset_bytes + windows.series_bytes,
    )


def settings_of(question: Question, config: PPOConfig, plan: RunPlan) -> Settings:
    """Everything that the answer holds for."""
    shared = {item.name for item in fields(Settings)} & {item.name for item in fields(PPOConfig)}
    return Settings(
        **{name: getattr(config, name) for name in shared},
        device=plan.device_type,
        batch_size=config.batch_size,
        minibatch_size=config.minibatch_size,
        num_updates=config.num_updates,
        adam=plan.adam,
        world_size=plan.processes,
        dataset_bytes=plan.dataset_bytes,
        episode_length=plan.episode_length,
        windows=_windows(question),
    )


def _windows(question: Question) -> Windows | None:
    return read_windows(
        question.obs_dim, lookback=question.lookback, features=question.features, rows=question.rows
    )


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidConfig(f"{name} is {value!r}", hint=f"one of {', '.join(allowed)}", pointer=name)


def _check_world(config: PPOConfig, world_size: int) -> None:
    """Environments and minibatches are divided equally among the processes, or the trainer refuses."""
    if not 1 <= world_size <= config.num_envs:
        hint = f"a whole number from 1 to num_envs={config.num_envs}"
        raise InvalidConfig(f"world_size is {world_size}", hint=hint, pointer="world_size")
    if config.num_envs % world_size or config.batch_size // world_size % config.num_minibatches:
        raise InvalidConfig(
            f"world_size={world_size} does not divide num_envs={config.num_envs} into shares that "
            f"num_minibatches={config.num_minibatches} divides",
            hint="each process takes num_envs/world_size environments, and cuts their steps into num_minibatches",
            pointer="world_size",
        )


def _check_between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        hint = f"a whole number from {low} to {high:,}"
        raise InvalidConfig(f"{name} is {value:,}", hint=hint, pointer=name)


def _check_first_layer(question: Question, config: PPOConfig) -> None:
    """Without windows there is nothing to share: the trainer refuses it too."""
    if config.first_layer in SHARES_WINDOWS and _windows(question) is None:
        raise InvalidConfig(
            f"first_layer is {config.first_layer!r}, but no windows are named",
            hint="lookback, features and rows of the windows, or first_layer auto or direct",
            pointer="first_layer",
        )


def _check_measured(question: Question) -> None:
    """A speed measured on another device says nothing of the card that is asked about."""
    measured, gpu = question.calibration, question.gpu
    if measured is None or gpu is None:
        return
    asked = find_card(gpu)
    if measured.device_type != "cuda" or _card_of(measured) != asked:
        raise InvalidConfig(
            f"gpu={gpu} and calibration contradict: {asked.name} is asked about, {measured.device!r} was measured",
            hint="leave one of them out, or name a calibration of that card",
            pointer="calibration",
        )


def _card_of(measured: Calibration) -> Card | None:
    """The card that was measured; None for one that is not known by name."""
    try:
        return find_card(measured.device)
    except InvalidInput:
        return None
