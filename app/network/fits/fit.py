"""The nearest configuration that fits a card, and what is said of a run that does not."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from app.network.config import PPOConfig
from app.network.fits.limits import divisors_of_batch, needed_or_never
from app.network.memory.run_memory import MemoryEstimate, run_bytes, run_memory
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.tiers import GB

BATCH_FIELDS = ("num_envs", "num_steps", "num_minibatches")

SMALLEST_MINIBATCH = 32
"""Fewer samples make a gradient too noisy to propose; a run that has fewer already keeps what it has."""

FEWEST_STEPS = 16
"""Shorter rollouts are not proposed."""

NARROWEST = 8
"""Layers are not proposed narrower than this."""

WIDTH_PARTS = 64
"""Steps in which widths shrink."""


@dataclass(frozen=True, slots=True)
class NearestFit:
    """The least change of a configuration by which it fits."""

    settings: dict[str, Any]
    """What changes: settings of PPO, those of the batch always together."""
    config: PPOConfig
    """The configuration with the change."""
    memory: MemoryEstimate
    """What it needs."""


Found = tuple[PPOConfig, MemoryEstimate]


def describe_refusal(shape: NetworkShape, memory: MemoryEstimate, available: int) -> dict[str, Any]:
    """What a refusal says of the estimate: members of its problem document."""
    return {
        "needed_bytes": memory.total_bytes,
        "available_bytes": available,
        "parameters": shape.parameters,
        "peak_instant": memory.peak_instant,
        "components": [asdict(part) for part in memory.components],
        "overheads": [asdict(part) for part in memory.overheads],
    }


def find_nearest_fit(
    shape: NetworkShape, config: PPOConfig, available: int, plan: RunPlan, *, keep_network: bool = False
) -> NearestFit | None:
    """The configuration that fits `available` bytes and is the least away from `config`, which does not.

    First the batch is cut into more minibatches, as few more as suffice. Then num_envs is halved, and then
    num_steps, each as often as needed and with as few minibatches as then suffice. Then, unless `keep_network`,
    all widths shrink alike, by 64ths and by no more of them than needed, with the whole batch. Where half of them
    is too much still, they are halved, again and again, and the batch is tried from its full size each time; the
    half that fits then grows again, by 64ths of its double and with its batch, as far as it fits.
    What is returned was itself checked to fit; None where nothing does.
    """
    found = _with_largest_batch(shape, config, available, plan)
    if found is None and not keep_network:
        found = _narrowed(shape, config, available, plan)
    return None if found is None else _describe(config, *found)


def _with_largest_batch(
    shape: NetworkShape, config: PPOConfig, available: int, plan: RunPlan
) -> Found | None:
    """This network with the largest batch by which it fits."""
    tried = (
        _with_most_samples(shape, batch, available, plan)
        for batch in _smaller_batches(config, plan.processes)
    )
    return next((found for found in tried if found is not None), None)


def _narrowed(shape: NetworkShape, config: PPOConfig, available: int, plan: RunPlan) -> Found | None:
    """The widest network that fits with this batch; where half of it does not, with the largest batch that fits a half."""
    found = _widest(shape, config, config.hidden_dims, available, plan)
    if found is not None:
        return found
    wider = config.hidden_dims
    for dims in _halved(config.hidden_dims):
        narrow = replace(config, hidden_dims=dims)
        halved = _with_largest_batch(replace(shape, hidden_dims=dims), narrow, available, plan)
        if halved is not None:
            return _widest(shape, halved[0], wider, available, plan) or halved
        wider = dims
    return None


def _widest(
    shape: NetworkShape, batch: PPOConfig, dims: tuple[int, ...], available: int, plan: RunPlan
) -> Found | None:
    """The network that fits with this batch and is the fewest 64ths narrower than `dims`, yet wider than half of it."""

    def fitted(dims: tuple[int, ...]) -> Found | None:
        narrow = replace(batch, hidden_dims=dims)
        return _with_most_samples(replace(shape, hidden_dims=dims), narrow, available, plan)

    narrower = [_scaled(dims, part) for part in range(WIDTH_PARTS - 1, WIDTH_PARTS // 2, -1)]
    place = bisect_left(narrower, True, key=lambda dims: fitted(dims) is not None)
    return fitted(narrower[place]) if place < len(narrower) else None


def _with_most_samples(shape: NetworkShape, config: PPOConfig, available: int, plan: RunPlan) -> Found | None:
    """The configuration with the fewest minibatches, no fewer than it has, by which it fits."""
    share = config.batch_size // plan.processes
    least = min(SMALLEST_MINIBATCH, share // config.num_minibatches)
    counts = [
        count
        for count in divisors_of_batch(config.num_envs // plan.processes, config.num_steps)
        if config.num_minibatches <= count <= share // least
    ]

    def needs(count: int) -> int:
        return needed_or_never(lambda: run_bytes(shape, replace(config, num_minibatches=count), plan))

    if not counts or needs(counts[-1]) > available:
        return None
    place = bisect_left(counts, True, key=lambda count: needs(count) <= available)
    changed = replace(config, num_minibatches=counts[place])
    memory = run_memory(shape, changed, plan)
    return (changed, memory) if memory.total_bytes <= available else None


def _smaller_batches(config: PPOConfig, processes: int) -> Iterator[PPOConfig]:
    """The batch as it is, then with half the environments again and again, then with half the steps."""
    least = min(SMALLEST_MINIBATCH, config.minibatch_size // processes)
    envs, steps = config.num_envs // processes, config.num_steps
    while True:
        parts = _fewer_parts(config.num_minibatches, envs * steps, least)
        yield replace(config, num_envs=envs * processes, num_steps=steps, num_minibatches=parts)
        if envs > 1:
            envs //= 2
        elif steps // 2 >= FEWEST_STEPS:
            steps //= 2
        else:
            return


def _fewer_parts(parts: int, batch: int, least: int) -> int:
    """As many minibatches as before, or the next smaller number that divides the batch into no tiny ones."""
    most = max(1, min(parts, batch // max(least, 1)))
    return max(count for count in range(1, most + 1) if batch % count == 0)


def _halved(dims: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All widths halved, again and again, none below NARROWEST unless it was."""
    while any(width > NARROWEST for width in dims):
        dims = _half(dims)
        yield dims


def _half(dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(width // 2, min(width, NARROWEST)) for width in dims)


def _scaled(dims: tuple[int, ...], part: int) -> tuple[int, ...]:
    """So many 64ths of all widths, more than half of them, in whole NARROWEST where that is no less than half."""
    whole = (width * part // WIDTH_PARTS // NARROWEST * NARROWEST for width in dims)
    return tuple(max(new, least) for new, least in zip(whole, _half(dims), strict=True))


def _describe(config: PPOConfig, changed: PPOConfig, memory: MemoryEstimate) -> NearestFit:
    settings: dict[str, Any] = {}
    if changed.hidden_dims != config.hidden_dims:
        settings["hidden_dims"] = list(changed.hidden_dims)
    moved = [name for name in BATCH_FIELDS if getattr(changed, name) != getattr(config, name)]
    if moved:  # the others stand beside them, or they would be chosen anew
        settings |= {name: getattr(changed, name) for name in dict.fromkeys((*moved, *BATCH_FIELDS))}
    return NearestFit(settings, changed, memory)


def advise(nearest: NearestFit | None) -> str:
    """What would fit, in words."""
    if nearest is None:
        return "no smaller batch or network fits; take a larger card"
    settings = ", ".join(f"{name}={_shown(value)}" for name, value in nearest.settings.items())
    return f"nearest that fits: {settings} ({nearest.memory.total_bytes / GB:.2f} GB); or take a larger card"


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
