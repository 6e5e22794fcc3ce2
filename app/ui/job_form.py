"""/ui/jobs/new: a form that submits a job; what it would be is told as you type, and nothing typed is lost."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from app.client import ServiceError, calls
from app.client.answers import JobPreview
from app.jobs.worker_command import worker_command
from app.ui.job_config import explain_config
from app.ui.job_values import (
    JobValues,
    change_values,
    make_spec,
    place_errors,
    read_values,
    show_spec,
)
from app.ui.rendering import answer_page, wants_fragment
from app.ui.route import PageRoute
from app.ui.service import PageClient, Service
from app.ui.spec_fields import BodyField, read_body_fields

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PATH = "/jobs"
TEMPLATE = "job_form.html"
SHOWN_DATASETS = 200
"""Newest datasets to choose from; others are named by hand."""

Fields = Mapping[str, BodyField]


@router.get("/ui/jobs/new")
async def show_form(request: Request, service: Service) -> Response:
    """An empty form; or one that holds the spec of the job in `clone`, or the datasets in `dataset`."""
    fields = await read_body_fields(request, service, PATH)
    query = request.query_params
    values = JobValues(datasets=tuple(query.getlist("dataset")))
    if source := query.get("clone"):
        values = show_spec((await service.job(source))["spec"], fields)
    return await _show(request, service, values)


@router.post("/ui/jobs/new")
async def submit_form(request: Request, service: Service) -> Response:
    """Submit the job and show it; show the form again where it is refused, or was to be changed first."""
    values = await _read(request)
    fields = await read_body_fields(request, service, PATH)
    if patch := values.get("use"):
        changed = change_values(values, _read_patch(patch), fields)
        return await _show(request, service, replace(changed, texts={**changed.texts, "use": ""}))
    try:
        address = await _submit(service, values, fields)
        if wants_fragment(request):
            return Response(status_code=204, headers={"HX-Redirect": address})
        return RedirectResponse(address, 303)
    except ServiceError as error:
        return await _show(request, service, values, error)


@router.post("/ui/jobs/preview")
async def preview_form(request: Request, service: Service) -> Response:
    """What the job in the form would be, or what it lacks: a part of the form's page."""
    values = await _read(request)
    fields = await read_body_fields(request, service, PATH)
    return (
        answer_page(request, TEMPLATE, fragment="preview", **await _preview(service, values, fields))
        if wants_fragment(request)
        else await _show(request, service, values)
    )


async def _submit(service: PageClient, values: JobValues, fields: Fields) -> str:
    """Submit one job, or one for each fold; the address of what came of it."""
    spec = make_spec(values, fields)
    if values.get("all_folds") and isinstance(folds := spec.get("folds"), int):
        jobs = await service.submit_folds({**spec, "fold": None}, folds)
        return f"/ui/jobs/{jobs[-1]['id']}"
    job = await _submit_once(service, spec, values.get("key"))
    return f"/ui/jobs/{job['id']}"


async def _submit_once(service: PageClient, spec: dict[str, Any], key: str) -> Any:
    """The form's key makes a doubled click one job; a form that was changed and sent again is another one."""
    try:
        return await service.submit_job(spec, idempotency_key=key or None)
    except ServiceError as error:
        if error.code != "idempotency_mismatch":
            raise
        return await service.submit_job(spec, idempotency_key=secrets.token_hex(16))


async def _show(
    request: Request, service: PageClient, values: JobValues, error: ServiceError | None = None
) -> Response:
    fields = await read_body_fields(request, service, PATH)
    listed = (await service.ask(calls.datasets({"limit": SHOWN_DATASETS})))["items"]
    known = {name for each in listed for name in (each["id"], each["name"])}
    context = await _preview(service, values, fields)
    if error is not None:
        context |= {"error": error, "errors": place_errors(error, fields), "preview": None, "missing": []}
    refused = error is not None and not wants_fragment(request)
    return answer_page(
        request,
        TEMPLATE,
        fragment="form",
        status=(error.status or 502) if error is not None and refused else 200,
        values=values,
        fields=fields,
        datasets=listed,
        others=", ".join(name for name in values.datasets if name not in known),
        tiers=await service.tiers(),
        key=secrets.token_hex(16),
        submitted=error is not None,
        **context,
    )


async def _preview(service: PageClient, values: JobValues, fields: Fields) -> dict[str, Any]:
    """What the API says of the job; not asked while something that must be filled in is empty."""
    context: dict[str, Any] = {"missing": values.missing(fields), "preview": None, "groups": ()}
    context |= {"error": None, "errors": {}, "nearest": None, "needed": None}
    if context["missing"]:
        return context
    try:
        preview: JobPreview = await service.preview_job(make_spec(values, fields))
    except ServiceError as error:
        nearest = error.extra.get("nearest_fit")
        patch = json.dumps(nearest) if nearest else None
        return {**context, "error": error, "errors": place_errors(error, fields), "nearest": patch}
    served = any(preview["queue"] in worker["queues"] for worker in await service.workers())
    return {
        **context,
        "preview": preview,
        "groups": explain_config(preview),
        "start_worker": "" if served else worker_command(preview["tier"]),
    }


async def _read(request: Request) -> JobValues:
    form = await request.form()
    return read_values([(name, value) for name, value in form.multi_items() if isinstance(value, str)])


def _read_patch(text: str) -> dict[str, Any]:
    try:
        patch = json.loads(text)
    except ValueError:
        patch = None
    if not isinstance(patch, dict):
        raise ServiceError("the proposed change cannot be read", status=422, code="invalid_input")
    return patch
