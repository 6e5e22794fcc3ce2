"""GET /estimate: what a network is, what it weighs, what training it needs."""

import re
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Query

from app.api.examples import DIMS, SIZED, answers, plain
from app.api.operation import Operation
from app.api.parameters import documented_like, fields_as
from app.errors import InvalidConfig, InvalidShape
from app.network.config import PPOConfig
from app.network.device_overhead import DeviceType
from app.network.estimate import Estimate, estimate
from app.network.run_memory import RunPlan
from app.network.shape import DOCUMENTED, ActionKind, NetworkShape
from app.network.tiers import TIERS

router = APIRouter(tags=["sizes"], route_class=Operation)

SIZE_FIELDS = (
    *("num_envs", "num_steps", "num_minibatches", "update_epochs", "total_timesteps"),
    *("activation", "layer_norm", "shared_trunk", "norm_obs", "norm_reward", "precision"),
)
"""The settings of PPO on which sizes depend."""

MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class TierDefault:
    """The network that a tier trains where none is asked for."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    tier: str
    """Name of the tier."""
    hidden_dims: tuple[int, ...]
    """Widths of its default trunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedNetwork(Estimate):
    """The estimate, beside what each tier would have chosen."""

    __pydantic_config__: ClassVar[dict[str, Any]] = documented_like(Estimate)

    tier_defaults: tuple[TierDefault, ...]
    """The default network of each tier, the largest tier first."""


async def read_shape(
    obs_dim: Annotated[int, Query(description="Length of an observation.", examples=[5300])],
    hidden: Annotated[
        list[str],
        Query(
            description="Widths of the trunk's layers, as `2048,1024,512,256` or as `hidden=2048&hidden=1024…`.",
            examples=[["2048,1024,512,256"]],
        ),
    ],
    action_dim: Annotated[int, Query(description="Number of actions, or of action components.")] = 3,
    action_kind: Annotated[ActionKind, Query(description="What an action is.")] = "discrete",
) -> NetworkShape:
    """The network that a query describes, without what PPO's settings say about it."""
    return NetworkShape(obs_dim, parse_hidden(hidden), action_dim, action_kind)


async def read_plan(
    device: Annotated[DeviceType, Query(description="Where the tensors live.")] = "cuda",
    dataset_bytes: Annotated[int, Query(ge=0, le=1 << 50, description="Bars and features kept there.")] = 0,
) -> RunPlan:
    """How the run will be carried out."""
    return RunPlan(device_type=device, dataset_bytes=dataset_bytes)


@router.get(
    "/estimate",
    summary="Size a network and its training",
    responses=answers(
        {
            **plain(SIZED),
            "tier_defaults": [{"tier": "low", "hidden_dims": list(TIERS["low"].hidden_dims)}],
        },
        InvalidShape,
        InvalidConfig,
    ),
)
async def estimate_network(
    shape: Annotated[NetworkShape, Depends(read_shape)],
    settings: Annotated[dict[str, Any], Depends(fields_as(Query, PPOConfig, SIZE_FIELDS))],
    plan: Annotated[RunPlan, Depends(read_plan)],
) -> SizedNetwork:
    """Exact parameters per layer and exact file sizes; device memory by component; arithmetic; what fits where.

    Nothing is stored and nothing runs: the answer is computed from the query alone.
    """
    return size_network(shape, tuple(settings.items()), plan)


@lru_cache(maxsize=1_024)
def size_network(shape: NetworkShape, settings: tuple[tuple[str, Any], ...], plan: RunPlan) -> SizedNetwork:
    """The estimate of a shape under these settings of PPO; remembered, as it depends on nothing else."""
    config = PPOConfig(hidden_dims=shape.hidden_dims, **dict(settings))
    full = replace(shape, layer_norm=config.layer_norm, shared_trunk=config.shared_trunk)
    sized = estimate(full, config, plan)
    values = {item.name: getattr(sized, item.name) for item in fields(sized)}
    return SizedNetwork(**values, tier_defaults=_TIER_DEFAULTS)


def parse_hidden(given: list[str]) -> tuple[int, ...]:
    """The widths of `512,256` or of `512`, `256`; raises InvalidShape for anything but whole numbers."""
    return tuple(_parse_width(part.strip()) for text in given for part in text.split(","))


def _parse_width(text: str) -> int:
    if not re.fullmatch(rf"-?[0-9]{{1,{MOST_DIGITS}}}", text):
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        hint = f"whole numbers with commas between them, e.g. hidden={','.join(map(str, DIMS))}"
        raise InvalidShape(f"hidden holds {shown!r}, which is no width", hint=hint, pointer="hidden")
    return int(text)


_TIER_DEFAULTS = tuple(TierDefault(tier.name, tier.hidden_dims) for tier in TIERS.values())
