"""Constants of what is chosen, searched for and proposed: tiers, schedules, the steps of searches."""

from collections.abc import Iterator

from app.network.config import RANGES
from app.network.constant import Constant
from app.network.fits.fit import FEWEST_STEPS, NARROWEST, SMALLEST_MINIBATCH, WIDTH_PARTS
from app.network.fits.limits import FINE_BELOW, GRAIN, MOST_SAMPLES
from app.network.schedule import MIN_UPDATES
from app.network.tiers import A100_LARGE_FROM, HIGH_FROM, MEDIUM_FROM, TIERS

TIER_RULES = (
    Constant("high tier from", HIGH_FROM, "B", "exact", "the project notes: 40 GB, GB = 1e9"),
    Constant("medium tier from", MEDIUM_FROM, "B", "exact", "the project notes: 20 GB, GB = 1e9"),
    Constant("large A100 from", A100_LARGE_FROM, "B", "assumed", "between the notes' 40 GB and 80 GB"),
    *(
        Constant(
            f"smallest card of tier {tier.name}",
            tier.smallest_bytes,
            "B",
            "assumed",
            f"{tier.smallest_card}; jobs of the tier are checked against it",
        )
        for tier in TIERS.values()
    ),
)

SEARCHES = (
    Constant("step of the minibatch search", GRAIN, "samples", "exact", "128 fp32 values fill a block"),
    Constant("single samples are searched below", FINE_BELOW, "samples", "assumed", "16 steps of the search"),
    Constant("end of the minibatch search", MOST_SAMPLES, "samples", "assumed", "more are not searched for"),
    *(
        Constant(f"most {name}", RANGES[name][1], "", "assumed", "the range of the setting")
        for name in ("num_envs", "num_minibatches")
    ),
    Constant(
        "smallest minibatch proposed", SMALLEST_MINIBATCH, "samples", "assumed", "fewer make a noisy gradient"
    ),
    Constant("fewest steps proposed", FEWEST_STEPS, "steps", "assumed", "shorter rollouts are not proposed"),
    Constant("narrowest layer proposed", NARROWEST, "units", "assumed", "narrower ones are not proposed"),
    Constant("steps in which widths shrink", WIDTH_PARTS, "parts", "assumed", "64ths of what was asked for"),
    Constant(
        "fewest updates of a tier's choice",
        MIN_UPDATES,
        "updates",
        "assumed",
        "the batch shrinks for short runs",
    ),
)


def choice_constants() -> Iterator[Constant]:
    """Tiers, and searches. What a tier would choose stands in its own answer, each with its reason."""
    yield from TIER_RULES
    yield from SEARCHES
