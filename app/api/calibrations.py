"""The /calibrations operations: what devices were measured to do."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Response

from app.actions.keep_calibration import keep_calibration
from app.api.calibration_example import CALIBRATION, CALIBRATION_DETAIL, MEASURED
from app.api.calibration_view import CalibrationDetail, CalibrationView, detail_calibration, view_calibration
from app.api.dependencies import PRINTABLE, Cursor, Limit, ServiceParts
from app.api.examples import answers, page_of
from app.api.operation import Operation
from app.api.page import Page, make_page
from app.api.selection import Selected, Selection, selection_of
from app.errors import LimitExceeded, NotFound, Unavailable
from app.network.timing.calibration import Calibration
from app.registry.calibrations import find_calibration, list_calibrations

router = APIRouter(tags=["sizes"], route_class=Operation)

CalibrationId = Annotated[
    str,
    Path(
        max_length=200,
        pattern=PRINTABLE,
        description="Id of the calibration, or name of a device: then the one measured last.",
    ),
]


@router.post(
    "/calibrations",
    status_code=201,
    summary="Keep a device's measurement",
    responses=answers(CALIBRATION, LimitExceeded, Unavailable, status=201),
)
async def add_calibration(
    parts: ServiceParts,
    response: Response,
    calibration: Annotated[
        Calibration,
        Body(
            openapi_examples={"measured": {"summary": "as `caliper calibrate` sends it", "value": MEASURED}}
        ),
    ],
) -> CalibrationView:
    """Register what `caliper calibrate` measured; jobs that this device will run are timed by it from now on.

    Earlier ones stay as its history. The same measurement again gives the entry that is there already.
    """
    row = await parts.in_thread(keep_calibration, parts.database, calibration)
    parts.answers.clear()  # estimates by this device's name rest on it
    response.headers["Location"] = f"/calibrations/{row.id}"
    return view_calibration(row)


@router.get(
    "/calibrations", summary="List calibrations", responses=answers(page_of(CALIBRATION), Unavailable)
)
def show_calibrations(
    parts: ServiceParts,
    limit: Limit,
    shown: Annotated[Selection[CalibrationView], Depends(selection_of(CalibrationView))],
    cursor: Cursor = None,
    device: Annotated[
        str | None, Query(max_length=200, pattern=PRINTABLE, description="Only those of this device.")
    ] = None,
) -> Page[CalibrationView | Selected]:
    """All measurements of all devices, the newest entries first."""
    with parts.database.read() as session:
        rows = list_calibrations(session, limit=limit + 1, before=cursor, device=device)
    return shown.of_page(make_page(rows, limit, view_calibration))


@router.get(
    "/calibrations/{calibration_id}",
    summary="Show a calibration",
    responses=answers(CALIBRATION_DETAIL, NotFound, Unavailable),
)
def show_calibration(parts: ServiceParts, calibration_id: CalibrationId) -> CalibrationDetail:
    """All numbers of one measurement; by a device's name its latest."""
    with parts.database.read() as session:
        return detail_calibration(find_calibration(session, calibration_id))
