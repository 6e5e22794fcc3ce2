"""GET /jobs/{id}/evaluation: a job's report as JSON, as a page and as a picture."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import HTMLResponse

from app.actions.show_evaluation import find_chart, show_evaluation
from app.api.checkpoint_file import holds_tag
from app.api.dependencies import PRINTABLE, JobId, ServiceParts
from app.api.evaluation_example import REPORT
from app.api.examples import answers
from app.api.operation import Operation
from app.api.problems import responses
from app.errors import Conflict, NotFound, Unavailable
from app.market.job_report import JobReport
from app.pages.evaluation import render_report

router = APIRouter(tags=["jobs"], route_class=Operation)

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The page needs nothing but its own style."""

PAGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One page with its charts inside; no script, nothing from elsewhere.",
        "content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html> …"}},
    },
    **responses(NotFound, Conflict, Unavailable),
}
PICTURE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {
            "image/png": {
                "schema": {"type": "string", "format": "binary"},
                "example": "the bytes of the picture",
            }
        },
        "headers": {"ETag": {"description": "The picture's sha256, quoted.", "schema": {"type": "string"}}},
    },
    304: {"description": "The client has the picture already: If-None-Match holds its hash."},
    **responses(NotFound, Conflict, Unavailable),
}
DatasetQuery = Annotated[
    str | None,
    Query(
        max_length=200,
        pattern=PRINTABLE,
        description="Id or name of one of the job's datasets; its first where left out.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(max_length=4_000, description="ETags that the client has: 304 where one is the picture's."),
]


@router.get(
    "/jobs/{job_id}/evaluation",
    summary="Show a job's evaluation",
    responses=answers(REPORT, NotFound, Conflict, Unavailable),
)
def show_job_evaluation(parts: ServiceParts, job_id: JobId) -> JobReport:
    """The policy on training, validation and test spans beside its baselines, with intervals and a verdict.

    One report for each dataset of the job. 409 until the job has ended well: it is evaluated at its end.
    """
    return show_evaluation(parts.database, parts.storage, job_id)


@router.get(
    "/jobs/{job_id}/evaluation.html",
    summary="Show a job's evaluation as a page",
    response_class=HTMLResponse,
    responses=PAGE_RESPONSES,
)
def show_evaluation_page(parts: ServiceParts, job_id: JobId) -> HTMLResponse:
    """The same report to read and to keep: charts of equity and drawdown, tables of folds, stress and figures."""
    page = render_report(show_evaluation(parts.database, parts.storage, job_id))
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return HTMLResponse(page, headers=headers)


@router.get(
    "/jobs/{job_id}/evaluation.png",
    summary="Show a job's evaluation as a picture",
    response_class=Response,
    responses=PICTURE_RESPONSES,
)
def show_evaluation_picture(
    parts: ServiceParts, job_id: JobId, dataset: DatasetQuery = None, if_none_match: IfNoneMatch = None
) -> Response:
    """Equity against baselines, drawdown, folds and verdict, drawn by the worker that evaluated."""
    sha256 = find_chart(parts.database, parts.storage, job_id, dataset)
    headers = {"ETag": f'"{sha256}"', "Cache-Control": "private, no-cache"}
    if if_none_match is not None and holds_tag(if_none_match, sha256):
        return Response(status_code=304, headers=headers)
    with parts.storage.local_copy(sha256) as path:
        return Response(path.read_bytes(), headers=headers, media_type="image/png")
