"""Resolves every setting of a run from the device's tier, the run's length and what the user asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from app.errors import InvalidConfig
from app.network.config import PPOConfig
from app.network.schedule import MIN_UPDATES, SCHEDULES, Batch, Schedule, shape_batch
from app.network.shape import DOCUMENTED
from app.network.tiers import Tier, find_tier
from app.network.use_cases import TrainingMode, UseCase, find_use_case

BATCH_FIELDS = ("num_envs", "num_steps", "num_minibatches")


@dataclass(frozen=True, slots=True)
class ResolvedConfig:
    """A whole configuration, and why each field is as it is."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    config: PPOConfig
    """The settings, checked."""
    reasons: dict[str, str]
    """Field -> one sentence, for every field."""


def resolve_config(
    tier: Tier | str,
    total_timesteps: int,
    *,
    training_mode: str | None = None,
    use_case: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> ResolvedConfig:
    """Resolve all settings; an explicit override always wins.

    `training_mode` (standard where neither is given) shapes the schedule and leaves the network to the
    tier; `use_case` decides both. Raises InvalidConfig if both are given, or for an unknown name, an unknown
    field, or a value out of range.
    """
    found = find_tier(tier) if isinstance(tier, str) else tier
    case = _choose_case(training_mode, use_case)
    mode = case.training_mode if case else _check_mode(training_mode or "standard")
    chosen = dict(overrides or {})
    asked = _check_overrides(total_timesteps, chosen)
    schedule = SCHEDULES[mode]
    fixed = {name: chosen[name] for name in BATCH_FIELDS if name in chosen}
    batch = shape_batch(asked.total_timesteps, found.num_envs, fixed)
    settings = {
        "hidden_dims": case.hidden_dims if case else found.hidden_dims,
        "total_timesteps": asked.total_timesteps,
        "learning_rate": schedule.learning_rate,
        "update_epochs": schedule.update_epochs,
        "ent_coef": schedule.ent_coef,
        **{name: getattr(batch, name) for name in BATCH_FIELDS},
    }
    config = PPOConfig(**{**settings, **chosen}).check()
    reasons = {
        "hidden_dims": _network_reason(found, case),
        **_schedule_reasons(mode, schedule),
        **_batch_reasons(found, batch, config),
        **{name: f"your override: {getattr(config, name)!r}" for name in chosen},
    }
    return ResolvedConfig(config, {name: reasons.get(name, "the default") for name in _FIELDS})


_FIELDS = tuple(field.name for field in fields(PPOConfig))


def _choose_case(training_mode: str | None, use_case: str | None) -> UseCase | None:
    if training_mode is not None and use_case is not None:
        raise InvalidConfig(
            f"training_mode={training_mode!r} and use_case={use_case!r} contradict: each sets the schedule",
            hint="give one of them; settings of the other can be overridden one by one",
            pointer="use_case",
        )
    return find_use_case(use_case) if use_case is not None else None


def _check_mode(name: str) -> TrainingMode:
    for mode in SCHEDULES:
        if mode == name:
            return mode
    raise InvalidConfig(
        f"unknown training mode {name!r}", hint=f"one of {', '.join(SCHEDULES)}", pointer="training_mode"
    )


def _check_overrides(total_timesteps: int, overrides: dict[str, Any]) -> PPOConfig:
    """Refuse unknown fields and values out of range, before anything is derived from them."""
    for name in overrides:
        if name not in _FIELDS:
            raise InvalidConfig(
                f"unknown field {name!r}", hint=f"known: {', '.join(sorted(_FIELDS))}", pointer=name
            )
    asked = PPOConfig(**{"total_timesteps": total_timesteps, **overrides})
    asked.check_fields()
    return asked


def _network_reason(tier: Tier, case: UseCase | None) -> str:
    if case:
        return f"use case {case.name}: {case.meaning}"
    return f"the default of the {tier.name} tier ({tier.cards})"


def _schedule_reasons(mode: TrainingMode, schedule: Schedule) -> dict[str, str]:
    sentence = f"{mode} training: {schedule.meaning}"
    asked = {"total_timesteps": "as asked for"}
    return {**asked, **dict.fromkeys(("learning_rate", "update_epochs", "ent_coef"), sentence)}


def _batch_reasons(tier: Tier, batch: Batch, config: PPOConfig) -> dict[str, str]:
    updates = f"{config.num_updates:,} updates"
    if config.num_updates < MIN_UPDATES:
        updates += f" (below {MIN_UPDATES}: the run is too short for more)"
    shortened = batch.num_envs < tier.num_envs
    why = (
        f"lowered from the {tier.name} tier's {tier.num_envs}"
        if shortened
        else f"the {tier.name} tier's default"
    )
    return {
        "num_envs": f"{why}; the run has {updates}",
        "num_steps": f"{batch.num_steps} steps of each environment a batch; the run has {updates}",
        "num_minibatches": f"divides the batch of {config.batch_size:,} samples",
    }
