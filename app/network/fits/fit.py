"""Whether a run fits a card, and the nearest configuration that does."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from app.errors import DoesNotFit
from app.network.config import PPOConfig
from app.network.fits.limits import divisors_of_batch
from app.network.memory.run_memory import MemoryEstimate, run_bytes, run_memory
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.tiers import GB, Tier

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


def check_fits(
    shape: NetworkShape, config: PPOConfig, room: Tier | int, plan: RunPlan | None = None
) -> MemoryEstimate:
    """Return the run's memory if it fits `room`: a tier's smallest card, or a number of bytes.

    Raises DoesNotFit with what the run needs by component and at which instant, what the card has, and the
    nearest change that fits (`nearest_fit`, None where none does).
    """
    plan = plan or RunPlan()
    if isinstance(room, Tier):
        plan = replace(plan, device_type=room.device_type)
    available = room.smallest_bytes if isinstance(room, Tier) else room
    memory = run_memory(shape, config.check(), plan)
    if memory.total_bytes <= available:
        return memory
    card = f"{room.smallest_card} ({room.name} tier)" if isinstance(room, Tier) else "the card"
    nearest = find_nearest_fit(shape, config, available, plan)
    hint, members = advise(nearest), describe_refusal(shape, memory, available)
    raise DoesNotFit(
        f"the run needs {memory.total_bytes / GB:.2f} GB, {card} has {available / GB:.2f} GB",
        hint=hint,
        pointer=next(iter(nearest.settings), "hidden_dims") if nearest else "hidden_dims",
        **members,
        nearest_fit=nearest.settings if nearest else None,
        nearest_fit_bytes=nearest.memory.total_bytes if nearest else None,
    )


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
    is too much still, they are halved, again and again, and the batch is tried from its full size each time.
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
    """The widest network that fits with this batch, or the least halved one with the largest batch that fits."""

    def fitted(dims: tuple[int, ...]) -> Found | None:
        narrow = replace(config, hidden_dims=dims)
        return _with_most_samples(replace(shape, hidden_dims=dims), narrow, available, plan)

    narrower = [_scaled(config.hidden_dims, part) for part in range(WIDTH_PARTS - 1, WIDTH_PARTS // 2, -1)]
    place = bisect_left(narrower, True, key=lambda dims: fitted(dims) is not None)
    if place < len(narrower):
        return fitted(narrower[place])
    tried = (
        _with_largest_batch(
            replace(shape, hidden_dims=dims), replace(config, hidden_dims=dims), available, plan
        )
        for dims in _halved(config.hidden_dims)
    )
    return next((found for found in tried if found is not None), None)


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
        return run_bytes(shape, replace(config, num_minibatches=count), plan)

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
        dims = tuple(max(width // 2, min(width, NARROWEST)) for width in dims)
        yield dims


def _scaled(dims: tuple[int, ...], part: int) -> tuple[int, ...]:
    """So many 64ths of all widths, in whole NARROWEST, none below it unless it was."""
    whole = (width * part // WIDTH_PARTS // NARROWEST * NARROWEST for width in dims)
    return tuple(max(new, min(old, NARROWEST)) for new, old in zip(whole, dims, strict=True))


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
