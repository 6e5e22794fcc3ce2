"""GET /recommendation: which network to train for a purpose and an amount of data."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.examples import answers, plain
from app.api.operation import Operation
from app.errors import InvalidConfig, InvalidShape
from app.network.recommend import Recommendation, recommend
from app.network.shape import ActionKind
from app.network.use_cases import UseCaseName

router = APIRouter(tags=["sizes"], route_class=Operation)

EXAMPLE = plain(recommend("production", 2335, 5300), Recommendation)


@router.get(
    "/recommendation",
    summary="Recommend a network",
    responses=answers(EXAMPLE, InvalidShape, InvalidConfig),
)
async def recommend_network(
    rows: Annotated[int, Query(le=10**15, description="Bars to train on.", examples=[2335])],
    obs_dim: Annotated[int, Query(description="Length of an observation.", examples=[5300])],
    use_case: Annotated[UseCaseName, Query(description="What the policy is for.")] = "production",
    action_dim: Annotated[int, Query(description="Number of actions.")] = 3,
    action_kind: Annotated[ActionKind, Query(description="What an action is.")] = "discrete",
) -> Recommendation:
    """The network to take for this use case and amount of data, all candidates, and what speaks for each."""
    return recommend(use_case, rows, obs_dim, action_dim=action_dim, action_kind=action_kind)
