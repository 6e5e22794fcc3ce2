"""Memory of a whole training run on its device: weights, update, rollout, and what lies outside."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.network.config import PPOConfig
from app.network.memory.device_overhead import Overhead, device_overheads
from app.network.memory.moments import Instant
from app.network.memory.possible_runs import PossibleRuns
from app.network.memory.run_parts import RunParts
from app.network.memory.run_plan import RunPlan
from app.network.shape import DOCUMENTED, NetworkShape

EXPLANATIONS = {
    "minibatch observations": "as the minibatch itself holds them",
    "minibatch": "its actions, log probabilities, values, advantages, returns",
    "shuffled order": "a sample number per step of the batch, and figures per optimizer step",
}
"""Of what comes and goes; all else is alive at the peak."""


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
    """What comes and goes during a rollout and an optimizer step."""
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
    run = PossibleRuns.of(shape, config, plan, minibatch_size).largest
    instants = run.instants
    peak = max(instants, key=lambda instant: instant.bytes)
    components = tuple(_components(run, peak))
    tensor_bytes = sum(component.bytes for component in components)
    overheads = device_overheads(plan.device_type, tensor_bytes)
    return MemoryEstimate(
        components=components,
        instants=instants,
        peak_instant=peak.name,
        tensor_bytes=tensor_bytes,
        overheads=overheads,
        total_bytes=tensor_bytes + sum(overhead.bytes for overhead in overheads),
        basis="upper bound" if config.precision == "auto" or run.counts_rows else "closed form",
    )


def run_bytes(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, *, minibatch_size: int | None = None
) -> int:
    """The `total_bytes` of `run_memory` alone: many times as fast, for searches through many runs."""
    return PossibleRuns.of(shape, config, plan, minibatch_size).total_bytes


def _components(run: RunParts, peak: Instant) -> list[Component]:
    """All parts that take memory at the peak, in the order of the report."""
    weights, optimizer, *others = (Component(*part) for part in run.lasting)
    at_peak = f"alive at the peak, the {peak.name}"
    passing = (Component(kind, size, EXPLANATIONS.get(kind, at_peak)) for kind, size in peak.parts.items())
    return [part for part in (weights, optimizer, *passing, *others) if part.bytes]
