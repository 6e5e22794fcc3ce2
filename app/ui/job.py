"""/ui/jobs/{id}: one job, live; with buttons to cancel, resume and clone it."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from pydantic import TypeAdapter
from starlette.responses import RedirectResponse

from app.client import calls
from app.client.answers import CheckpointView, JobDetail, JobReport
from app.market.curves import Curve
from app.pages.line_chart import NAMES, draw_chart
from app.ui.curves import MEASURES, Measure, collect_series, draw_curve
from app.ui.job_config import explain_config
from app.ui.rendering import answer_page, wants_fragment
from app.ui.route import PageRoute
from app.ui.service import PageClient, Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PARTS = ("status", "history", "result")
"""Parts of the page that HTMX may ask for alone."""
LIVE = frozenset({"queued", "running"})
LOG_LINES = 400
DRAWN_STEPS = 200
"""Steps of a drawn curve."""
OFFERED = 50
"""Newest checkpoints that are offered to compare with."""

_CURVE = TypeAdapter(Curve)


@dataclass(frozen=True, slots=True)
class DrawnCurve:
    """A metric with its latest value and its drawing."""

    measure: Measure
    """What was measured."""
    latest: float | None
    """The newest value; None before the first."""
    drawing: Markup
    """The curve so far; empty before the first value."""


@router.get("/ui/jobs/{job_id}")
async def show_job(request: Request, service: Service, job_id: str) -> Response:
    """The whole page; of HTMX's requests the part that they name."""
    part = request.query_params.get("part", "")
    fragment = part if part in PARTS else PARTS[0]
    job = await service.job(job_id)
    alone = fragment if wants_fragment(request) else ""
    return answer_page(request, "job.html", fragment=fragment, job=job, **await _gather(service, job, alone))


@router.post("/ui/jobs/{job_id}/cancel")
async def cancel_job(service: Service, job_id: str) -> Response:
    """Stop the job, and show it."""
    return _show((await service.cancel(job_id))["id"])


@router.post("/ui/jobs/{job_id}/resume")
async def resume_job(service: Service, job_id: str) -> Response:
    """Queue the job again, and show it."""
    return _show((await service.resume(job_id))["id"])


async def _gather(service: PageClient, job: JobDetail, part: str) -> dict[str, Any]:
    """What the page shows beside the job's own row; of a part alone, what that part shows."""
    job_id = job["id"]
    context: dict[str, Any] = {
        "is_live": job["state"] in LIVE,
        "groups": (),
        "curves": (),
        "most_memory": None,
    }
    context |= {"log": "", "report": None, "names": NAMES, "draw": draw_span, "others": ()}
    if part in {"", "result"}:
        points = await service.metrics(job_id, [each.name for each in MEASURES], spread=DRAWN_STEPS)
        series = collect_series(points["points"])
        context["most_memory"] = max(series.get("memory_bytes", ([], []))[1], default=None)
        context["curves"] = tuple(_draw(measure, series) for measure in MEASURES)
    if part in {"", "history"}:
        context["log"] = await service.log(job_id, LOG_LINES)
    if part in {"", "result"}:
        context["others"] = await _others(service, job)
        context["report"] = await _evaluation(service, job)
    if part == "":
        context["groups"] = explain_config(job)
    return context


async def _evaluation(service: PageClient, job: JobDetail) -> JobReport | None:
    return await service.evaluation(job["id"]) if job["links"] else None


async def _others(service: PageClient, job: JobDetail) -> list[CheckpointView]:
    """The newest checkpoints of other jobs, and the older ones of this, to compare with."""
    newest = {row["id"] for row in job["checkpoints"][:1]}
    listed = (await service.ask(calls.checkpoints({"limit": OFFERED})))["items"]
    return [row for row in listed if row["id"] not in newest]


def draw_span(curve: dict[str, Any], what: str, height: int) -> Markup:
    """The equity or drawdown of a span, from the evaluation's own points."""
    return draw_chart(_CURVE.validate_python(curve), what, height)


def _draw(measure: Measure, series: dict[str, tuple[list[int], list[float]]]) -> DrawnCurve:
    steps, values = series.get(measure.name, ([], []))
    if not steps:
        return DrawnCurve(measure, None, Markup())
    label = f"{measure.title} over {steps[-1]:,} steps"
    return DrawnCurve(measure, values[-1], draw_curve(steps, values, label))


def _show(job_id: str) -> Response:
    return RedirectResponse(f"/ui/jobs/{job_id}", 303)
