"""GET /tiers: classes of hardware and the networks that they train by default."""

from fastapi import APIRouter

from app.api.dependencies import ServiceParts
from app.api.examples import answers, plain
from app.api.operation import Operation
from app.network.tiers import TIERS, Tier, list_tiers

router = APIRouter(tags=["sizes"], route_class=Operation)


@router.get(
    "/tiers",
    summary="List the GPU tiers",
    responses=answers(plain([TIERS["h100"], TIERS["cpu"]], list[Tier])),
)
async def show_tiers(parts: ServiceParts) -> list[Tier]:
    """Every tier, the largest first: its smallest card, its default network and number of environments."""
    return list(list_tiers(parts.settings.cpu_memory_bytes))
