"""/ui/datasets/{id}: one dataset: its prices, what is doubtful, how it would be split, which jobs used it."""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from app.client import ServiceError, calls
from app.client.answers import SplitReport
from app.client.calls import Call
from app.ui.rendering import answer_page
from app.ui.route import PageRoute
from app.ui.service import PageClient, Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SHOWN_JOBS = 10
"""Newest jobs on it that are listed."""
SPLIT_FIELDS = ("lookback", "folds")


@router.get("/ui/datasets/{dataset_id}")
async def show_dataset(request: Request, service: Service, dataset_id: str) -> Response:
    """The report; of HTMX's requests only the splits that they ask for."""
    dataset = await service.dataset(dataset_id)
    asked = {name: request.query_params.get(name, "").strip() for name in SPLIT_FIELDS}
    splits, error = await _split(service, dataset["id"], asked)
    return answer_page(
        request,
        "dataset.html",
        fragment="splits",
        dataset=dataset,
        report=dataset["report"],
        asked=asked,
        splits=splits,
        error=error,
        jobs=(await service.ask(calls.jobs({"dataset": dataset["id"], "limit": SHOWN_JOBS})))["items"],
    )


@router.post("/ui/datasets/{dataset_id}/delete")
async def delete_dataset(service: Service, dataset_id: str) -> Response:
    """Hide the dataset from new jobs."""
    await service.delete_dataset(dataset_id)
    return RedirectResponse("/ui/datasets", 303)


async def _split(
    service: PageClient, dataset_id: str, asked: dict[str, str]
) -> tuple[SplitReport | None, ServiceError | None]:
    """The splits, or why there are none: for long windows a dataset may be too short."""
    params: dict[str, Any] = {name: value or None for name, value in asked.items()}
    call: Call[SplitReport] = Call(method="GET", path=f"/datasets/{dataset_id}/splits", params=params)
    try:
        return await service.ask(call), None
    except ServiceError as error:
        return None, error
