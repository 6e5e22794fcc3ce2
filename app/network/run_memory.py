"""Memory of a whole training run on its device: weights, update, rollout buffer, and what lies outside."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from app.network.config import PPOConfig
from app.network.contents import Provenance
from app.network.device_overhead import DeviceType, Overhead, device_overheads
from app.network.first_layer import FirstLayerWork, Way, WindowGeometry, plan_first_layer
from app.network.shape import DOCUMENTED, HEAD_DIM, NetworkShape
from app.network.training_memory import FLOAT, AdamKind, Instant, UpdateMemory, blocks, update_memory

ROLLOUT_SCALAR_BYTES = 34
"""Bytes per step beside observations and actions: log probability, value, next value, reward, advantage
and return in fp32 (24), two flags (2), and an int64 action (8)."""

INDEX_BYTES = 8
"""Bytes of a row's number, or of a step's."""

ROW_PLACE_BYTES = 17
"""Bytes by which a table of rows knows each row's place. The series has more rows than those that are
learned from: twice as many are counted."""

BF16_POSSIBLE = ("bf16", "auto")
"""Precisions under which the network may be multiplied in bf16."""

OBSERVATION_COPIES = 2
"""The rollout buffer keeps each step's observation parts, and those of the episode's end."""


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
    """The closed form holds for fp32 and tf32; bf16's answer is an upper bound, assumed."""


def run_memory(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, *, minibatch_size: int | None = None
) -> MemoryEstimate:
    """Estimate the memory of training `shape` under `config`, or with minibatches of another size."""
    batch = minibatch_size or config.minibatch_size
    update = update_memory(shape, batch, activation=config.activation, adam=plan.adam)
    components = tuple(_Run(shape, config, plan, batch).components(update))
    tensor_bytes = sum(component.bytes for component in components)
    overheads = device_overheads(plan.device_type, tensor_bytes)
    return MemoryEstimate(
        components=components,
        instants=update.instants,
        peak_instant=update.peak_instant.name,
        tensor_bytes=tensor_bytes,
        overheads=overheads,
        total_bytes=tensor_bytes + sum(overhead.bytes for overhead in overheads),
        basis="upper bound" if config.precision in BF16_POSSIBLE else "closed form",
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """One run's settings, from which each component follows."""

    shape: NetworkShape
    config: PPOConfig
    plan: RunPlan
    batch: int

    def components(self, update: UpdateMemory) -> list[Component]:
        """All parts that take memory, in the order of the report."""
        peak = update.peak_instant
        named = (
            ("weights", update.weights, "4 B per parameter, each tensor in whole blocks of 512 B"),
            ("optimizer", update.optimizer, "Adam's two moments, 8 B per parameter, and step counters"),
            ("observations", self._observations(update), "4·B·obs_dim of one minibatch"),
            ("first layer", self._first_layer(), "the windows written out, or their spectra"),
            ("minibatch", update.minibatch, "its actions, log probabilities, values, advantages, returns"),
            ("shuffled order", blocks(8 * self.config.batch_size), "a sample number per step of the batch"),
            ("activations and gradients", peak.bytes, f"alive at the peak, the {peak.name}"),
            ("rollout buffer", self._rollout(), "num_envs·num_steps stored steps"),
            ("rollout beyond update", self._acting(update), "acting for all environments at once"),
            (
                "copy for oom_retry",
                self._copy(update),
                "weights and moments at the update's start, on the host",
            ),
            ("autocast copies", self._autocast(), "bf16 weights and observations beside the fp32 ones"),
            ("dataset", self.plan.dataset_bytes, "bars and features on the device"),
        )
        return [Component(*entry) for entry in named if entry[1]]

    def _observations(self, update: UpdateMemory) -> int:
        """The minibatch's windows; the parts that they are built from; the raw ones where normalised."""
        built = self.plan.rollout_bytes_per_step is not None
        parts = blocks(self.batch * self.plan.step_bytes(self.shape)) if built else 0
        sliding = blocks(self.batch * self._sliding_window()) if built else 0
        if self._work is not None:
            return parts + sliding
        return update.observations * (2 if self.config.norm_obs else 1) + parts + sliding

    @property
    def _work(self) -> FirstLayerWork | None:
        """The first layer's work, where windows are multiplied without the observation being written out."""
        if self.plan.windows is None or self.config.norm_obs:
            return None
        work = FirstLayerWork.of(self.config, self.plan.windows, self.plan.device_type)
        return replace(work, minibatch_size=self.batch)

    def _first_layer(self) -> int:
        """What the windows' products hold: those of a minibatch, and those of the rollout if other."""
        if self._work is None or self.plan.windows is None:
            return 0
        ways = plan_first_layer(self.config, self.plan.windows, self.plan.device_type)
        steps, restarts = self.config.num_steps, self._restarts()
        # The worker knows the rows to the last gap and may choose otherwise where two ways are close.
        held = max(
            self._work.held_bytes(way, rows=self.batch, steps=steps, restarts=restarts)
            for way in (ways.minibatch, Way("direct"))
        )
        places = 2 * ROW_PLACE_BYTES * self.plan.windows.rows
        if not ways.rollout.block:
            return held + places
        rows = min(self.config.num_envs * (steps + 1), self.plan.windows.rows)
        ahead = self._work.held_bytes(ways.rollout, rows=rows, steps=steps + 1, restarts=restarts)
        # One and the same way uses the same memory for both.
        return places + (max(held, ahead) if ways.rollout == ways.minibatch else held + ahead)

    def _restarts(self) -> int:
        """How often an environment may begin a new episode within a rollout."""
        return 1 + self.config.num_steps // (self.plan.episode_length or self.config.num_steps)

    def _sliding_window(self) -> int:
        return self.plan.sliding_row_bytes * (self.plan.windows.lookback if self.plan.windows else 0)

    def _rollout(self) -> int:
        actions = FLOAT * self.shape.action_dim if self.shape.action_kind == "gaussian" else 0
        per_step = OBSERVATION_COPIES * self.plan.step_bytes(self.shape) + ROLLOUT_SCALAR_BYTES + actions
        if self.plan.sliding_row_bytes:
            per_step += self.plan.sliding_row_bytes + INDEX_BYTES  # the row, and when its episode began
        start = self._sliding_window() + INDEX_BYTES if self.plan.sliding_row_bytes else 0
        return self.config.batch_size * per_step + self.config.num_envs * start

    def _acting(self, update: UpdateMemory) -> int:
        """Where num_envs passes the minibatch, acting may need more than learning; the excess."""
        widest = 2 * max(*self.shape.hidden_dims, HEAD_DIM) + self.shape.hidden_dims[-1]
        observed = self.shape.obs_dim * (2 if self.config.norm_obs else 1)
        forward = FLOAT * (self.config.num_envs * (observed + widest) + self._table_values())
        learning = update.peak - update.weights - update.optimizer
        return max(0, forward - learning)

    def _table_values(self) -> int:
        """Products of all rows that a rollout may see, and a copy while rows are added."""
        if self._work is None:
            return 0
        rows = self.config.num_envs * (self.config.num_steps + 1) * (1 + self._restarts())
        return 2 * self._work.outputs * min(rows, self._work.windows.rows)

    def _copy(self, update: UpdateMemory) -> int:
        """What an update that ran out of memory begins again from: of a card's run it lies in the host's memory."""
        held = self.config.oom_retry and self.plan.device_type == "cpu"
        return update.weights + update.optimizer if held else 0

    def _autocast(self) -> int:
        copied = self.shape.parameters + self.batch * self.shape.obs_dim
        return 2 * copied if self.config.precision in BF16_POSSIBLE else 0
