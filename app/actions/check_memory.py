"""Refuse a job that cannot fit its tier's smallest card, and say which change of its spec would make it fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from app.errors import DoesNotFit
from app.jobs.plan import TrainingPlan
from app.jobs.spec import JobSpec
from app.network.config import PPOConfig
from app.network.fits.fit import NearestFit, advise, describe_refusal, find_nearest_fit
from app.network.memory.run_memory import run_memory
from app.network.tiers import GB, find_tier

BESIDE_OVERRIDES = frozenset({"hidden_dims"})
"""Settings of PPO that stand in a spec by themselves."""

_SPEC = TypeAdapter(JobSpec)


def check_memory(
    spec: JobSpec, plan: TrainingPlan, card_bytes: int, resolve: Callable[[JobSpec], PPOConfig]
) -> None:
    """Raise DoesNotFit unless the run fits `card_bytes`, the smallest card that its tier has here.

    The error carries the estimate and, as `nearest_fit`, a JSON merge patch (RFC 7396) of the spec: the
    least change by which the job would be accepted. `resolve` gives the configuration of the patched spec, which is
    checked like the first; where the job starts from a checkpoint, its network is left as it is.
    """
    memory = run_memory(plan.shape, plan.ppo, plan.run_plan)
    if memory.total_bytes <= card_bytes:
        return
    nearest = find_nearest_fit(
        plan.shape, plan.ppo, card_bytes, plan.run_plan, keep_network=spec.initial_checkpoint is not None
    )
    patch = _patch(nearest) if nearest else None
    if patch is None or not _fits(replace(plan, ppo=resolve(_apply(spec, patch))), card_bytes):
        nearest = patch = None
    raise DoesNotFit(
        f"the run needs {memory.total_bytes / GB:.2f} GB, {_card(plan.tier)} has {card_bytes / GB:.2f} GB",
        hint=advise(nearest),
        pointer=_pointer(patch),
        tier=plan.tier,
        **describe_refusal(plan.shape, memory, card_bytes),
        nearest_fit=patch,
        nearest_fit_bytes=nearest.memory.total_bytes if nearest else None,
    )


def _fits(plan: TrainingPlan, card_bytes: int) -> bool:
    return run_memory(plan.shape, plan.ppo, plan.run_plan).total_bytes <= card_bytes


def _patch(nearest: NearestFit) -> dict[str, Any]:
    """The change as a merge patch of the spec."""
    beside = {name: value for name, value in nearest.settings.items() if name in BESIDE_OVERRIDES}
    inside = {name: value for name, value in nearest.settings.items() if name not in BESIDE_OVERRIDES}
    return {**beside, **({"overrides": inside} if inside else {})}


def _apply(spec: JobSpec, patch: dict[str, Any]) -> JobSpec:
    plain = _SPEC.dump_python(spec, mode="json")
    overrides = {**plain["overrides"], **patch.get("overrides", {})}
    return _SPEC.validate_python({**plain, **patch, "overrides": overrides})


def _card(tier: str) -> str:
    if tier == "cpu":
        return "a run on this service's cpu tier"
    return f"the smallest card of the {tier} tier ({find_tier(tier).smallest_card})"


def _pointer(patch: dict[str, Any] | None) -> str:
    """The first setting that would have to change."""
    if not patch or "hidden_dims" in patch:
        return "hidden_dims"
    return f"overrides/{next(iter(patch['overrides']))}"
