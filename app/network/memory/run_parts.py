"""What a training run holds: what lasts, and the three walks of what comes and goes, each with its batch."""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Literal, NamedTuple

from app.network.config import PPOConfig, Precision
from app.network.first_layer import FirstLayerWork, plan_first_layer
from app.network.memory.device_overhead import device_overheads
from app.network.memory.lasting_memory import Lasting, lasting_parts, rollout_memory
from app.network.memory.moments import Batch, Instant, Moments
from app.network.memory.rollout_memory import INDEX_BYTES
from app.network.memory.rollout_walk import RolloutPlan
from app.network.memory.run_plan import RunPlan
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.training_memory import (
    final_moments,
    optimizer_bytes,
    rollout_moments,
    update_moments,
)
from app.network.memory.update_plan import FLOAT, UpdatePlan
from app.network.memory.window_memory import WindowMemory
from app.network.shape import NetworkShape

BF16_POSSIBLE = ("bf16", "auto")
"""Precisions under which the network may be multiplied in bf16."""

PRECISIONS: dict[Precision, tuple[Literal["fp32", "bf16"], ...]] = {
    "auto": ("fp32", "bf16"),
    "bf16": ("bf16",),
    "fp32": ("fp32",),
    "tf32": ("fp32",),
}
"""How the network may be run under each: by `auto` in whichever the device has instructions for."""

FIGURE_BLOCKS = 2
"""Blocks that each optimizer step leaves behind until the update's end: its figures; one for good measure."""


class Walks(NamedTuple):
    """What is walked through, for a network and how it is run."""

    rollout: Moments
    final: Moments | None
    """None where an update, which looks at as many samples, always holds more."""
    update: Moments


class Phase(NamedTuple):
    """A walk, and the batch for which it is told."""

    moments: Moments
    batch: Batch

    @property
    def peak(self) -> int:
        """Most bytes alive at once."""
        return self.moments.peak(self.batch)


class RunParts:
    """One run's parts, with minibatches as its configuration has them or of another size."""

    def __init__(
        self, shape: NetworkShape, config: PPOConfig, plan: RunPlan, minibatch_size: int | None = None
    ) -> None:
        self.shape, self.plan = shape, plan
        self._resize(config, minibatch_size)
        self._walks = [self._walk(precision) for precision in PRECISIONS[config.precision]]

    def with_minibatch(self, samples: int) -> "RunParts":
        """The same run with minibatches of so many samples a process."""
        return self._resized(self.config, samples)

    def with_envs(self, num_envs: int) -> "RunParts":
        """The same run with so many environments."""
        return self._resized(replace(self.config, num_envs=num_envs), None)

    @property
    def counts_rows(self) -> bool:
        """Whether rows and blocks are counted as the run sees them, and bounded here."""
        return self.windows is not None and self.plan.device_type == "cpu"

    @property
    def total_bytes(self) -> int:
        """Tensors and overheads."""
        largest = max(phase.peak for walks in self._walks for phase in self._phases(walks))
        tensor_bytes = max(largest, self._building) + sum(part.bytes for part in self.lasting)
        outside = device_overheads(self.plan.device_type, tensor_bytes)
        return tensor_bytes + sum(overhead.bytes for overhead in outside)

    @property
    def instants(self) -> tuple[Instant, ...]:
        """All moments in the order of time; where bf16 is only possible, in the precision that needs more."""
        most = max(self._walks, key=lambda walks: max(phase.peak for phase in self._phases(walks)))
        found = [instant for moments, batch in self._phases(most) for instant in moments.instants(batch)]
        if not self._building:
            return tuple(found)
        return (Instant("series transformed", self._building, {"first layer": self._building}), *found)

    @property
    def lasting(self) -> Iterator[Lasting]:
        """What is there all the time."""
        return lasting_parts(self.shape, self.config, self.plan, self.windows)

    def _resize(self, config: PPOConfig, minibatch_size: int | None) -> None:
        self.config = config
        self.batch = minibatch_size or max(1, config.minibatch_size // self.plan.processes)
        self.envs = config.num_envs // self.plan.processes or 1
        self.windows = self._windows()

    def _resized(self, config: PPOConfig, minibatch_size: int | None) -> "RunParts":
        other = copy(self)
        other._resize(config, minibatch_size)  # noqa: SLF001 - its own kind
        return other

    def _walk(self, precision: Literal["fp32", "bf16"]) -> Walks:
        shape, way = self.shape, self._way(precision)
        rollout = RolloutPlan(self.config.num_steps, self.plan.sliding_row_bytes, self._account)
        final = final_moments(shape, way, rollout) if self.windows else None
        return Walks(rollout_moments(shape, way, rollout), final, update_moments(shape, way))

    def _phases(self, walks: Walks) -> Iterator[Phase]:
        yield Phase(walks.rollout, Batch(self.envs, self._rollout_sizes))
        if walks.final:
            final = min(self.envs, self.batch)
            yield Phase(walks.final, Batch(final, self._final_sizes(final)))
        yield Phase(walks.update, Batch(self.batch, self._update_sizes))

    def _way(self, precision: Literal["fp32", "bf16"]) -> UpdatePlan:
        config, plan = self.config, self.plan
        built = plan.rollout_bytes_per_step is not None
        parts = (plan.step_bytes(self.shape), self._account) if built else ()
        return UpdatePlan(
            activation=config.activation,
            adam=plan.adam,
            precision=precision,
            # The same walk for both where nothing differs.
            device_type=plan.device_type if self.shape.layer_norm else "cuda",
            norm_adv=config.norm_adv,
            clip_vloss=config.clip_vloss,
            norm_obs=config.norm_obs,
            parts=parts,
            processes=plan.processes,
            windowed=self.windows is not None,
        )

    @property
    def _rollout_sizes(self) -> Mapping[str, int]:
        if (windows := self.windows) is None:
            return {}
        made = {"table": windows.table, "making": windows.making, "preparing": windows.preparing}
        return {**made, "looking": windows.looking(self.envs)}

    def _final_sizes(self, samples: int) -> Mapping[str, int]:
        windows = self.windows
        assert windows is not None
        # The values of the rollout's last observations, and the numbers of the truncated samples.
        truncated = blocks(FLOAT * self.envs) + blocks(INDEX_BYTES * self.envs)
        return {"truncated": truncated, "table": windows.table, "looking": windows.looking(samples)}

    @property
    def _update_sizes(self) -> Mapping[str, int]:
        config = self.config
        order = blocks(INDEX_BYTES * config.batch_size // self.plan.processes)
        order += FIGURE_BLOCKS * BLOCK * config.update_epochs * config.num_minibatches
        if (windows := self.windows) is None:
            return {"order": order}
        first = windows.minibatch(self.batch)
        sizes = {"held": first.held, "forward": first.forward, "backward": first.backward}
        return {"order": order, **{f"windows {name}": blocks(size) for name, size in sizes.items()}}

    @property
    def _building(self) -> int:
        """A card's spectra are made before there are moments or a buffer: what that takes beyond these."""
        if (windows := self.windows) is None:
            return 0
        later = windows.run + optimizer_bytes(self.shape)
        return max(0, windows.building - later - rollout_memory(self.shape, self.config, self.plan).buffer)

    @property
    def _account(self) -> int:
        """Bytes of an account's window."""
        windows = self.plan.windows
        return self.plan.sliding_row_bytes * windows.lookback if windows else 0

    def _windows(self) -> WindowMemory | None:
        """The first layer's work, where windows are multiplied without the observation being written out."""
        windows, config, processes = self.plan.windows, self.config, self.plan.processes
        if windows is None or config.norm_obs:
            return None
        work = FirstLayerWork.of(config, windows, self.plan.device_type)
        return WindowMemory(
            replace(work, minibatch_size=self.batch, num_envs=max(1, config.num_envs // processes)),
            plan_first_layer(config, windows, self.plan.device_type),
            config.num_steps,
            1 + config.num_steps // (self.plan.episode_length or config.num_steps),
            2 if config.precision in BF16_POSSIBLE else FLOAT,
            shared_trunk=self.shape.shared_trunk,
            rest=self.shape.obs_dim - windows.columns,
        )
