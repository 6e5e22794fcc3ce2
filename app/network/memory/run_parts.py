"""What a training run holds in one precision: what lasts, and the three walks of what comes and goes, each with its batch."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from app.network.config import PPOConfig
from app.network.memory.job_memory import judging_bytes, making_bytes
from app.network.memory.lasting_memory import Lasting, copied_environments, lasting_parts, rollout_memory
from app.network.memory.moments import Batch, Instant, Moments
from app.network.memory.rollout_memory import INDEX_BYTES
from app.network.memory.rollout_walk import RolloutPlan
from app.network.memory.run_plan import RunPlan
from app.network.memory.run_windows import restarts, windows_of
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.training_memory import (
    final_moments,
    optimizer_bytes,
    rollout_moments,
    update_moments,
)
from app.network.memory.update_plan import FLOAT, Multiplied, UpdatePlan
from app.network.shape import NetworkShape

FIGURE_BLOCKS = 1
"""Blocks that each optimizer step leaves behind until the update's end: its figures."""


class Phase(NamedTuple):
    """A walk, and the batch for which it is told."""

    moments: Moments
    batch: Batch

    @property
    def peak(self) -> int:
        """Most bytes alive at once."""
        return self.moments.peak(self.batch)


class RunParts:
    """One run's parts, with minibatches as its configuration has them or of another size, and layers in one precision."""

    def __init__(
        self,
        shape: NetworkShape,
        config: PPOConfig,
        plan: RunPlan,
        precision: Multiplied,
        minibatch_size: int | None = None,
    ) -> None:
        self.shape, self.plan, self.config, self.precision = shape, plan, config, precision
        self.batch = minibatch_size or max(1, config.minibatch_size // plan.processes)
        self.envs = config.num_envs // plan.processes or 1
        self.windows = windows_of(shape, config, plan, self.batch, precision)

    def with_minibatch(self, samples: int) -> "RunParts":
        """The same run with minibatches of so many samples a process."""
        return RunParts(self.shape, self.config, self.plan, self.precision, samples)

    def with_envs(self, num_envs: int) -> "RunParts":
        """The same run with so many environments."""
        config = replace(self.config, num_envs=num_envs)
        return RunParts(self.shape, config, self.plan, self.precision)

    @property
    def counts_rows(self) -> bool:
        """Whether rows and blocks are counted as the run sees them, and bounded here."""
        return self.windows is not None and self.plan.device_type == "cpu"

    @property
    def tensor_bytes(self) -> int:
        """All tensors at the peak."""
        largest = max(phase.peak for phase in self._phases)
        beside = max(self._making, self._building, self._copying, self._judging)
        return max(largest, beside) + sum(part.bytes for part in self.lasting)

    @property
    def instants(self) -> tuple[Instant, ...]:
        """All moments in the order of time."""
        before = (
            _instant("market made", "market", self._making),
            _instant("series transformed", "first layer", self._building),
            _instant("state copied", "environment step", self._copying),
        )
        walked = (moment for phase in self._phases for moment in phase.moments.instants(phase.batch))
        after = _instant("policy judged", "evaluation", self._judging)
        return (*(instant for instant in before if instant.bytes), *walked, *([after] if after.bytes else []))

    @property
    def lasting(self) -> Iterator[Lasting]:
        """What is there all the time."""
        return lasting_parts(self.shape, self.config, self.plan, self.windows)

    @property
    def _phases(self) -> Iterator[Phase]:
        """What is walked through, each for its batch."""
        shape, way = self.shape, self._way
        rollout = RolloutPlan(self.config.num_steps, self.plan.sliding_row_bytes, self._account)
        yield Phase(rollout_moments(shape, way, rollout), Batch(self.envs, self._rollout_sizes))
        if self.windows:  # elsewhere an update, which looks at as many samples, always holds more
            final = min(self._truncated, self.batch)
            yield Phase(final_moments(shape, way, rollout), Batch(final, self._final_sizes(final)))
        yield Phase(update_moments(shape, way), Batch(self.batch, self._update_sizes))

    @property
    def _way(self) -> UpdatePlan:
        config, plan = self.config, self.plan
        built = plan.rollout_bytes_per_step is not None
        parts = (plan.step_bytes(self.shape), self._account) if built else ()
        return UpdatePlan(
            activation=config.activation,
            adam=plan.adam,
            precision=self.precision,
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
        truncated = blocks(FLOAT * self.envs) + blocks(INDEX_BYTES * self._truncated)
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
    def _making(self) -> int:
        """Features are computed before there is anything else than the dataset: what that takes beyond these."""
        if self.plan.data is None:
            return 0
        later = sum(part.bytes for part in self.lasting) - self.plan.dataset_bytes
        return max(0, making_bytes(self.plan.data, self.plan.device_type) - later)

    @property
    def _judging(self) -> int:
        """At the end the rollout is let go of: what it takes to judge the policy beyond that."""
        if self.plan.data is None:
            return 0
        needed = judging_bytes(self.shape, self.config, self.plan.data, self.plan.device_type)
        return max(0, needed - rollout_memory(self.shape, self.config, self.plan).buffer)

    @property
    def _copying(self) -> int:
        """Before an update whose start is kept: the environments hand out a copy of theirs, which is copied once more."""
        return copied_environments(self.shape, self.config, self.plan)

    @property
    def _truncated(self) -> int:
        """Most samples of a rollout at which an episode is cut off."""
        return self.envs * restarts(self.config, self.plan)

    @property
    def _account(self) -> int:
        """Bytes of an account's window."""
        windows = self.plan.windows
        return self.plan.sliding_row_bytes * windows.lookback if windows else 0


def _instant(name: str, kind: str, size: int) -> Instant:
    return Instant(name, size, {kind: size})
