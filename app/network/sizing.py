"""The whole answer to "what is this network, what does training it need, and where does it fit?".

One question in, one frozen dataclass out: GET /estimate and `caliper estimate --json` give it as it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from app.network.constants import Constant, constants_for
from app.network.estimate import Estimate, estimate
from app.network.fits.card_fit import CardFit, DeviceFit, fit_cards
from app.network.fits.target import choose_target
from app.network.fits.tier_default import TierDefault, choose_by_tier
from app.network.question import Question, Settings, check_config, plan_of, settings_of, shape_of
from app.network.shape import DOCUMENTED
from app.network.tiers import Tier, list_tiers


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing(Estimate):
    """A network and its training: sizes, arithmetic, what fits where, and what would be chosen elsewhere."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    settings: Settings
    """What all of this holds for."""
    device: DeviceFit | None
    """The device that was asked about by gpu or memory_bytes; null where none was."""
    cards: tuple[CardFit, ...]
    """A verdict for each card that is known by name."""
    tier_defaults: tuple[TierDefault, ...]
    """What each tier's automatic configuration would choose, the largest tier first."""
    constants: tuple[Constant, ...]
    """Every constant that enters the answer, with its source."""


def size_network(question: Question) -> Sizing:
    """Answer the whole question.

    Raises InvalidShape or InvalidConfig for values that are out of range or contradict each other,
    InvalidInput for an unknown card.
    """
    config = check_config(question)
    target = choose_target(
        gpu=question.gpu,
        memory_bytes=question.memory_bytes,
        device=question.device_type,
        precision=config.precision,
    )
    shape, plan = shape_of(question, config), plan_of(question)
    gpu = target.name if target else ""
    sized = estimate(
        shape,
        config,
        plan,
        calibration=question.calibration,
        gpu=gpu,
        cpu_memory_bytes=question.cpu_memory_bytes,
    )
    tiers = list_tiers(question.cpu_memory_bytes)
    device, cards = fit_cards(shape, config, plan, target)
    return Sizing(
        **{item.name: getattr(sized, item.name) for item in fields(Estimate)},
        settings=settings_of(question, config, plan),
        device=device,
        cards=cards,
        tier_defaults=choose_by_tier(shape, config, plan, question.training_mode, tiers),
        constants=_with_sizes(constants_for(plan.device_type), tiers),
    )


def _with_sizes(constants: Iterable[Constant], tiers: Iterable[Tier]) -> tuple[Constant, ...]:
    """The constants, the tiers' memory as it was reckoned with."""
    sizes = {f"smallest card of tier {tier.name}": tier.smallest_bytes for tier in tiers}
    return tuple(replace(each, value=sizes.get(each.name, each.value)) for each in constants)
