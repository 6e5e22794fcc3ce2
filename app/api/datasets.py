"""The /datasets operations: upload, list, show and delete bars."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Response, UploadFile

from app.actions.accept_dataset import accept_dataset
from app.actions.discard_dataset import discard_dataset
from app.actions.draw_dataset import draw_dataset
from app.actions.split_dataset import split_dataset
from app.api.dataset_view import DatasetView
from app.api.dependencies import PRINTABLE, AskedBy, Cursor, DatasetId, Limit, ServiceParts
from app.api.examples import DATASET, SPLITS, answers, page_of
from app.api.operation import DatasetOperation
from app.api.page import Page, make_page
from app.api.parameters import fields_as
from app.api.problems import responses
from app.api.rows import view_row
from app.api.selection import Selected, Selection, selection_of
from app.errors import InvalidDataset, LimitExceeded, NotFound, QuotaExceeded, Unavailable
from app.market.declarations import Declarations
from app.market.report import DatasetReport
from app.market.schema import MAX_LOOKBACK
from app.market.split_report import SplitReport
from app.market.splits import MAX_FOLDS
from app.registry.datasets import find_dataset, list_datasets
from app.registry.tables import Dataset

router = APIRouter(tags=["datasets"], route_class=DatasetOperation)

SVG = {"schema": {"type": "string"}, "example": '<svg xmlns="http://www.w3.org/2000/svg">…</svg>'}
SVG_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    # A name in a chart is the user's own text: opened by itself, the image may run and load nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}

DatasetName = Annotated[
    str,
    Form(
        min_length=1,
        max_length=200,
        pattern=PRINTABLE,
        description="Name of the dataset.",
        examples=["googl"],
    ),
]


async def read_origin(
    source: Annotated[str, Form(max_length=2_000, description="Where the bars come from.")] = "",
    licence: Annotated[str, Form(max_length=2_000, description="What may be done with them.")] = "",
) -> dict[str, str]:
    """Where the bars come from, in the user's words."""
    return {"source": source, "licence": licence}


@router.post(
    "/datasets",
    status_code=201,
    summary="Upload bars",
    responses=answers(DATASET, InvalidDataset, LimitExceeded, QuotaExceeded, Unavailable, status=201),
)
async def upload_dataset(  # noqa: PLR0913, PLR0917 - one parameter per form field
    parts: ServiceParts,
    asked_by: AskedBy,
    response: Response,
    file: Annotated[
        UploadFile, File(description="CSV or Parquet of bars; CSV may be packed as .gz or .zip.")
    ],
    name: DatasetName,
    declared: Annotated[dict[str, Any], Depends(fields_as(Form, Declarations))],
    origin: Annotated[dict[str, str], Depends(read_origin)],
) -> DatasetView:
    """Validate bars and keep them; a refusal lists every breach with row numbers and the fix.

    The same bars under the same name give the dataset that is there already.
    """
    row = await parts.read_upload(
        accept_dataset,
        parts.database,
        parts.storage,
        parts.settings,
        file.file,
        name=name,
        declarations=Declarations(**declared),
        caller=asked_by,
        **origin,
    )
    response.headers["Location"] = f"/datasets/{row.id}"
    return view_dataset(row)


@router.get("/datasets", summary="List datasets", responses=answers(page_of(DATASET), Unavailable))
def show_datasets(
    parts: ServiceParts,
    limit: Limit,
    shown: Annotated[Selection[DatasetView], Depends(selection_of(DatasetView))],
    cursor: Cursor = None,
) -> Page[DatasetView | Selected]:
    """Datasets that are not deleted, the newest first."""
    with parts.database.read() as session:
        rows = list_datasets(session, limit=limit + 1, before=cursor)
    return shown.of_page(make_page(rows, limit, view_dataset))


@router.get(
    "/datasets/{dataset_id}", summary="Show a dataset", responses=answers(DATASET, NotFound, Unavailable)
)
def show_dataset(parts: ServiceParts, dataset_id: DatasetId) -> DatasetView:
    """One dataset by id, or the newest of a name."""
    with parts.database.read() as session:
        return view_dataset(find_dataset(session, dataset_id))


@router.get(
    "/datasets/{dataset_id}/chart.svg",
    summary="Show a dataset's price chart",
    response_class=Response,
    responses={
        200: {"description": "The chart.", "content": {"image/svg+xml": SVG}},
        **responses(NotFound, Unavailable),
    },
)
def show_chart(parts: ServiceParts, dataset_id: DatasetId) -> Response:
    """Range and close, volume below, gaps shaded and jumps marked; legible on light and dark ground."""
    chart = draw_dataset(parts.database, parts.storage, dataset_id)
    return Response(chart, media_type="image/svg+xml", headers=SVG_HEADERS)


@router.get(
    "/datasets/{dataset_id}/splits",
    summary="Show a dataset's splits",
    responses=answers(SPLITS, NotFound, InvalidDataset, Unavailable),
)
def show_splits(
    parts: ServiceParts,
    dataset_id: DatasetId,
    lookback: Annotated[
        int, Query(ge=1, le=MAX_LOOKBACK, description="Closed bars that an observation shows.")
    ] = 100,
    folds: Annotated[
        int | None,
        Query(ge=1, le=MAX_FOLDS, description="Walk-forward folds; one split of 60/20/20 where left out."),
    ] = None,
) -> SplitReport:
    """Training, validation and test of a job on this dataset alone, with rows and dates."""
    return split_dataset(parts.database, parts.storage, dataset_id, lookback=lookback, folds=folds)


@router.delete(
    "/datasets/{dataset_id}",
    status_code=204,
    summary="Delete a dataset",
    responses=responses(NotFound, Unavailable),
)
def delete_dataset(parts: ServiceParts, asked_by: AskedBy, dataset_id: DatasetId) -> None:
    """Hide a dataset from new jobs; jobs that trained on it keep their row, and can no longer be resumed."""
    discard_dataset(parts.database, dataset_id, asked_by)


def view_dataset(row: Dataset) -> DatasetView:
    """A dataset as it is shown."""
    report = DatasetReport.from_plain(row.report)
    return view_row(row, DatasetView, report=report, chart=f"/datasets/{row.id}/chart.svg")
