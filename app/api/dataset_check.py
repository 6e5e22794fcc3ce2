"""POST /datasets/check: what the service would say to a file of bars, without keeping it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, File, Form, UploadFile

from app.actions.check_dataset import check_dataset
from app.api.datasets import read_origin
from app.api.dependencies import PRINTABLE, Parts, ServiceParts
from app.api.examples import DATASET, answers
from app.api.operation import DatasetOperation
from app.api.parameters import fields_as
from app.errors import InvalidDataset, LimitExceeded, Unavailable
from app.market.bars import Bars
from app.market.chart import draw_chart
from app.market.declarations import Declarations
from app.market.report import DatasetReport, describe_bars, moment_of
from app.network.shape import DOCUMENTED

router = APIRouter(tags=["datasets"], route_class=DatasetOperation)

SHARED = ("rows", "bar_seconds", "starts_at", "ends_at", "sha256", "declarations", "report")
EXAMPLE = {**{name: DATASET[name] for name in SHARED}, "chart_svg": "<svg …</svg>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCheck:
    """Bars that the service would accept; nothing was stored."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    rows: int
    """Number of bars."""
    bar_seconds: int
    """Length of a bar in seconds."""
    starts_at: datetime
    """Time of the first bar."""
    ends_at: datetime
    """Time of the last bar."""
    sha256: str
    """The version that a dataset of these bars would have."""
    declarations: dict[str, Any]
    """What was declared about the file, and what was found where nothing was declared."""
    report: DatasetReport
    """Segments, gaps, jumps, volume, prices, and warnings with row numbers."""
    chart_svg: str
    """The price chart, an SVG document."""


@router.post(
    "/datasets/check",
    summary="Check bars without storing them",
    responses=answers(EXAMPLE, InvalidDataset, LimitExceeded, Unavailable),
)
async def check_bars(
    parts: ServiceParts,
    file: Annotated[
        UploadFile, File(description="CSV or Parquet of bars; CSV may be packed as .gz or .zip.")
    ],
    declared: Annotated[dict[str, Any], Depends(fields_as(Form, Declarations))],
    _origin: Annotated[dict[str, str], Depends(read_origin)],
    name: Annotated[
        str, Form(min_length=1, max_length=200, pattern=PRINTABLE, description="Title of the chart.")
    ] = "bars",
) -> DatasetCheck:
    """Read every row as POST /datasets does, and answer its report or every breach; nothing is kept.

    The form is that of POST /datasets, so that the same one can be sent here first.
    """
    return await parts.read_upload(_check, parts, file, name, Declarations(**declared))


def _check(parts: Parts, file: UploadFile, name: str, declarations: Declarations) -> DatasetCheck:
    return view_check(check_dataset(parts.storage, parts.settings, file.file, declarations), name)


def view_check(bars: Bars, name: str) -> DatasetCheck:
    """Checked bars as they are shown."""
    first, last = (datetime.fromisoformat(moment_of(int(bars.utc_us[row]))) for row in (0, -1))
    return DatasetCheck(
        rows=len(bars),
        bar_seconds=bars.bar_seconds,
        starts_at=first,
        ends_at=last,
        sha256=bars.sha256,
        declarations=bars.declarations.plain(),
        report=describe_bars(bars),
        chart_svg=draw_chart(bars, name),
    )
