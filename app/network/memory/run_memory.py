"""Memory of a whole training run on its device: weights, update, rollout buffer, and what lies outside."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from app.network.config import PPOConfig
from app.network.disk.contents import Provenance
from app.network.first_layer import FirstLayerWork, WindowGeometry, plan_first_layer
from app.network.memory.device_overhead import DeviceType, Overhead, device_overheads
from app.network.memory.rollout_memory import INDEX_BYTES, RolloutMemory
from app.network.memory.tape import BLOCK, Instant, blocks
from app.network.memory.training_memory import UpdateMemory, update_memory
from app.network.memory.update_plan import FLOAT, AdamKind, UpdatePlan
from app.network.memory.window_memory import WindowMemory
from app.network.shape import DOCUMENTED, NetworkShape

BF16_POSSIBLE = ("bf16", "auto")
"""Precisions under which the network may be multiplied in bf16."""

FIGURE_BLOCKS = 2
"""Blocks that each optimizer step leaves behind until the update's end: its figures; one for good measure."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How a run will be carried out, as far as sizes depend on it."""

    device_type: DeviceType = "cuda"
    """Where the tensors live."""
    rollout_bytes_per_step: int | None = None
    """Bytes of one step's observation parts; None stores the observation itself, 4·obs_dim."""
    windows: WindowGeometry | None = None
    """Where observations are windows over a series that the trainer knows of."""
    sliding_row_bytes: int = 0
    """Bytes that each step adds to a window over the last `windows.lookback` steps."""
    episode_length: int | None = None
    """Steps after which an episode ends at the latest."""
    dataset_bytes: int = 0
    """Bars and features kept on the device."""
    adam: AdamKind = "fused"
    """Which of torch's Adam implementations steps."""
    processes: int = 1
    """Processes that train one policy together, a device each; the estimate is of one of them."""
    env_state: Any = None
    """What the environment's state dict will hold, tensors as TensorSpec; for the checkpoint's size."""
    provenance: Provenance | None = None
    """What the checkpoint will say about its origin."""

    def step_bytes(self, shape: NetworkShape) -> int:
        """Bytes of one step's observation parts."""
        stored = self.rollout_bytes_per_step
        return FLOAT * shape.obs_dim if stored is None else stored


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the memory that is in use at the peak."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What it is."""
    bytes: int
    """How much it takes."""
    explanation: str
    """The formula, in words."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Device memory of a run, by component and instant."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    components: tuple[Component, ...]
    """What is alive at the peak; they add up to `tensor_bytes`."""
    instants: tuple[Instant, ...]
    """What comes and goes during one optimizer step."""
    peak_instant: str
    """The moment with most bytes alive."""
    tensor_bytes: int
    """All tensors at the peak: the closed form."""
    overheads: tuple[Overhead, ...]
    """What lies outside the tensors, margin included, each with its source."""
    total_bytes: int
    """Tensors and overheads: what the card must have."""
    basis: Literal["closed form", "upper bound"]
    """`upper bound` where the run itself decides: whether `auto` is bf16, and how many distinct windows
    a CPU meets."""


def run_memory(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, *, minibatch_size: int | None = None
) -> MemoryEstimate:
    """Estimate the memory of training `shape` under `config`, or with minibatches of another size."""
    run = _Run.of(shape, config, plan, minibatch_size)
    update = run.update
    components = tuple(run.components(update))
    tensor_bytes = sum(component.bytes for component in components)
    overheads = device_overheads(plan.device_type, tensor_bytes)
    return MemoryEstimate(
        components=components,
        instants=update.instants,
        peak_instant=update.peak_instant.name,
        tensor_bytes=tensor_bytes,
        overheads=overheads,
        total_bytes=tensor_bytes + sum(overhead.bytes for overhead in overheads),
        basis="upper bound" if config.precision == "auto" or run.counts_rows else "closed form",
    )


def run_bytes(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, *, minibatch_size: int | None = None
) -> int:
    """The `total_bytes` of `run_memory` alone: several times as fast, for searches through many runs."""
    run = _Run.of(shape, config, plan, minibatch_size)
    tensor_bytes = sum(component.bytes for component in run.components(run.update))
    return tensor_bytes + sum(overhead.bytes for overhead in device_overheads(plan.device_type, tensor_bytes))


class _Run:
    """One run's settings, from which each component follows."""

    @classmethod
    def of(cls, shape: NetworkShape, config: PPOConfig, plan: RunPlan, minibatch_size: int | None) -> "_Run":
        """With minibatches as `config` has them, or of another size."""
        return cls(shape, config, plan, minibatch_size or max(1, config.minibatch_size // plan.processes))

    def __init__(self, shape: NetworkShape, config: PPOConfig, plan: RunPlan, batch: int) -> None:
        self.shape, self.config, self.plan, self.batch = shape, config, plan, batch
        self.windows = self._windows()
        sliding = plan.sliding_row_bytes if plan.windows else 0
        self.rollout = RolloutMemory(
            shape,
            config,
            plan.step_bytes(shape),
            sliding,
            plan.windows.lookback if plan.windows else 0,
            plan.rollout_bytes_per_step is not None,
            self.windows is not None,
            plan.processes,
        )

    @property
    def counts_rows(self) -> bool:
        """Whether rows and blocks are counted as the run sees them, and bounded here."""
        return self.windows is not None and self.plan.device_type == "cpu"

    @property
    def update(self) -> UpdateMemory:
        """The learning part; where bf16 is only possible, the larger of both precisions."""
        return max((self._update(kind) for kind in self._precisions), key=lambda update: update.peak)

    def components(self, update: UpdateMemory) -> list[Component]:
        """All parts that take memory at the peak, in the order of the report."""
        peak = update.peak_instant
        named = (
            ("weights", update.weights, "4 B per parameter, each tensor in whole blocks of 512 B"),
            ("optimizer", update.optimizer, "Adam's two moments, 8 B per parameter, and step counters"),
            (
                "minibatch observations",
                update.observations + self._parts(),
                "as the minibatch itself holds them",
            ),
            ("minibatch", update.minibatch, "its actions, log probabilities, values, advantages, returns"),
            *((kind, size, f"alive at the peak, the {peak.name}") for kind, size in peak.parts.items()),
            (
                "windows",
                self.windows.run if self.windows else 0,
                "tables, spectra and workspaces of the first layer",
            ),
            (
                "shuffled order",
                self._order(),
                "a sample number per step of the batch, and figures per optimizer step",
            ),
            ("rollout buffer", self.rollout.buffer, "num_envs·num_steps stored steps"),
            ("environment", self.rollout.environment, "accounts and present observations"),
            ("observation statistics", self._statistics(), "running mean and variance, float64"),
            ("rollout beyond update", self._acting(update), "acting for all environments at once"),
            (
                "copy for oom_retry",
                self._copy(update),
                "weights and moments at the update's start, on the host",
            ),
            ("dataset", self.plan.dataset_bytes, "bars and features on the device"),
        )
        return [Component(*entry) for entry in named if entry[1]]

    @property
    def _precisions(self) -> tuple[Literal["fp32", "bf16"], ...]:
        if self.config.precision == "auto":
            return ("fp32", "bf16")
        return ("bf16",) if self.config.precision == "bf16" else ("fp32",)

    def _update(self, precision: Literal["fp32", "bf16"]) -> UpdateMemory:
        config, plan = self.config, self.plan
        how = UpdatePlan(
            activation=config.activation,
            adam=plan.adam,
            precision=precision,
            device_type=plan.device_type,
            norm_adv=config.norm_adv,
            clip_vloss=config.clip_vloss,
            norm_obs=config.norm_obs,
            built=plan.rollout_bytes_per_step is not None,
            processes=plan.processes,
            first=self.windows.minibatch(self.batch) if self.windows else None,
        )
        return update_memory(self.shape, self.batch, how)

    def _windows(self) -> WindowMemory | None:
        """The first layer's work, where windows are multiplied without the observation being written out."""
        windows, config = self.plan.windows, self.config
        if windows is None or config.norm_obs:
            return None
        work = FirstLayerWork.of(config, windows, self.plan.device_type)
        return WindowMemory(
            replace(work, minibatch_size=self.batch, num_envs=max(1, config.num_envs // self.plan.processes)),
            plan_first_layer(config, windows, self.plan.device_type),
            config.num_steps,
            1 + config.num_steps // (self.plan.episode_length or config.num_steps),
            2 if config.precision in BF16_POSSIBLE else FLOAT,
            shared_trunk=self.shape.shared_trunk,
            rest=self.shape.obs_dim - windows.columns,
        )

    def _parts(self) -> int:
        """What observations are built from: a stored observation is the observation itself."""
        if self.plan.rollout_bytes_per_step is None:
            return 0
        sliding = self.plan.sliding_row_bytes * (self.plan.windows.lookback if self.plan.windows else 0)
        return blocks(self.batch * self.plan.step_bytes(self.shape)) + blocks(self.batch * sliding)

    def _order(self) -> int:
        steps = self.config.update_epochs * self.config.num_minibatches
        return (
            blocks(INDEX_BYTES * self.config.batch_size // self.plan.processes)
            + FIGURE_BLOCKS * BLOCK * steps
        )

    def _statistics(self) -> int:
        """Two means, variances and counts in float64; mean and scale in fp32."""
        wide, narrow = blocks(2 * FLOAT * self.shape.obs_dim), blocks(FLOAT * self.shape.obs_dim)
        return 4 * wide + 2 * narrow + 2 * BLOCK if self.config.norm_obs else 0

    def _acting(self, update: UpdateMemory) -> int:
        """Where num_envs passes the minibatch, acting may need more than learning; the excess."""
        learning = update.peak - update.weights - update.optimizer + self._parts() + self._order()
        # The last step's gradients are still there.
        acting = max(self.rollout.deciding, self.rollout.stepping)
        if (windows := self.windows) is not None:
            acting = windows.table + max(acting, windows.making, windows.looking)
            acting = max(acting, windows.preparing) if self.counts_rows else acting
            # A card's spectra are made before there are moments, gradients or a buffer.
            later = windows.run + update.optimizer + self.rollout.buffer + learning
            return max(0, update.weights + acting - learning, windows.building - later)
        return max(0, update.weights + acting - learning)

    def _copy(self, update: UpdateMemory) -> int:
        """What an update that ran out of memory begins again from: of a card's run it lies in the host's memory."""
        held = self.config.oom_retry and self.plan.device_type == "cpu"
        return update.weights + update.optimizer if held else 0
