"""What every page has in common: what the API refuses is readable, and only these pages may change something."""

import http
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, ClassVar

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.client import ServiceError
from app.ui.rendering import answer_page, wants_fragment
from app.ui.same_origin import require_same_origin
from app.ui.way_in import lead_to_sign_in

log = structlog.get_logger()

HEADINGS = {
    403: "Not allowed",
    404: "Not found",
    409: "Not in its present state",
    413: "Too large",
    422: "This cannot be used",
    503: "Not available just now",
}
"""What a problem's page is headed with, by status."""


UNAUTHENTICATED = 401

MOST_FORM_BYTES = 1 << 20
"""Largest form without a file."""


class LimitedForm(Request):
    """A request whose body is counted while it is read."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body; raises ServiceError (413) once it is larger than any form of these pages."""
        seen = 0
        async for chunk in super().stream():
            seen += len(chunk)
            if seen > MOST_FORM_BYTES:
                detail = f"the form has more than {MOST_FORM_BYTES:,} bytes"
                raise ServiceError(detail, status=413, code="limit_exceeded", hint="shorten what is in it")
            yield chunk


class PageRoute(APIRoute):
    """A route that answers with a page also where something is wrong."""

    limits_forms: ClassVar[bool] = True

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with what comes before and after it."""
        handle, limited = super().get_route_handler(), self.limits_forms

        async def handle_readably(request: Request) -> Response:
            try:
                require_same_origin(request)
                return await handle(LimitedForm(request.scope, request.receive) if limited else request)
            except ServiceError as error:
                return (
                    lead_to_sign_in(request)
                    if error.status == UNAUTHENTICATED
                    else show_problem(request, error)
                )
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it: an upload was broken off
            except (HTTPException, RequestValidationError) as error:
                return show_problem(request, _refused(error))
            except Exception as error:  # noqa: BLE001 - shown by number, told to the log
                return show_problem(request, _unexpected(request, error))

        return handle_readably


class UploadRoute(PageRoute):
    """A route whose body is passed on as it comes; the API counts it."""

    limits_forms = False


def show_problem(request: Request, error: ServiceError) -> Response:
    """A problem as a page with its own status, or as a part of the page that HTMX asked from.

    That part is sent as 200: a browser writes every refused request of a script into its console, and HTMX
    does not show it.
    """
    status = error.status or 502
    heading = HEADINGS.get(status, "Something went wrong")
    phrase = http.HTTPStatus(status).phrase
    shown = 200 if wants_fragment(request) else status
    return answer_page(
        request,
        "problem.html",
        fragment="problem",
        status=shown,
        error=error,
        status_code=status,
        heading=heading,
        phrase=phrase,
    )


def _refused(error: HTTPException | RequestValidationError) -> ServiceError:
    """What the framework raises itself: a form that cannot be read, a field that is missing."""
    if isinstance(error.__cause__, ServiceError):
        return error.__cause__
    if isinstance(error, HTTPException):
        return ServiceError(str(error.detail), status=error.status_code, code="refused")
    breaches = [f"{item['loc'][-1]}: {item['msg']}" for item in error.errors()[:3]]
    return ServiceError(
        "; ".join(breaches), status=422, code="invalid_input", hint="use the form on the page"
    )


def _unexpected(request: Request, error: Exception) -> ServiceError:
    number = secrets.token_hex(8)
    log.error("unexpected error on a page", number=number, path=request.url.path, exc_info=error)
    hint = "the service's log has the trace under this number"
    return ServiceError(f"unexpected error {number}", status=500, hint=hint)
