"""A run in each precision that it may get: `auto` becomes bf16 where the device has instructions for it, else fp32."""

from typing import NamedTuple

from app.network.config import PPOConfig, Precision
from app.network.memory.device_overhead import device_overheads
from app.network.memory.run_parts import RunParts
from app.network.memory.run_plan import RunPlan
from app.network.memory.update_plan import Multiplied
from app.network.shape import NetworkShape

PRECISIONS: dict[Precision, tuple[Multiplied, ...]] = {
    "auto": ("fp32", "bf16"),
    "bf16": ("bf16",),
    "fp32": ("fp32",),
    "tf32": ("fp32",),
}
"""How layers may be multiplied under each."""


class PossibleRuns(NamedTuple):
    """One run, once for each precision that it may get."""

    runs: tuple[RunParts, ...]

    @classmethod
    def of(
        cls, shape: NetworkShape, config: PPOConfig, plan: RunPlan, minibatch_size: int | None = None
    ) -> "PossibleRuns":
        """The runs under this configuration, or with minibatches of another size."""
        each = PRECISIONS[config.precision]
        return cls(tuple(RunParts(shape, config, plan, precision, minibatch_size) for precision in each))

    def with_minibatch(self, samples: int) -> "PossibleRuns":
        """The same with minibatches of so many samples a process."""
        return PossibleRuns(tuple(run.with_minibatch(samples) for run in self.runs))

    def with_envs(self, num_envs: int) -> "PossibleRuns":
        """The same with so many environments."""
        return PossibleRuns(tuple(run.with_envs(num_envs) for run in self.runs))

    @property
    def largest(self) -> RunParts:
        """The one that needs most memory."""
        return max(self.runs, key=lambda run: run.tensor_bytes)

    @property
    def total_bytes(self) -> int:
        """Tensors and overheads of the largest."""
        tensor_bytes = max(run.tensor_bytes for run in self.runs)
        outside = device_overheads(self.runs[0].plan.device_type, tensor_bytes)
        return tensor_bytes + sum(overhead.bytes for overhead in outside)
