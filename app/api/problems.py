"""Every error as an RFC 9457 problem document, and its entry in OpenAPI: both made from the error tree."""

import dataclasses
import http
import json
import math
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar, get_args

import structlog
from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.allowed import allowed_methods
from app.api.request_ids import HEADER
from app.api.security_headers import SECURITY_HEADERS
from app.errors import (
    CaliperError,
    CrossOrigin,
    Forbidden,
    InvalidInput,
    KeysRequired,
    TooManyRequests,
    TooSlow,
    Unauthenticated,
    Unavailable,
    UnknownHost,
)
from app.logs import current_request_id
from app.network.shape import DOCUMENTED

MEDIA_TYPE = "application/problem+json"
PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
MAX_ERRORS = 50
"""Most breaches that one problem lists."""

AT_THE_GATE: tuple[type[CaliperError], ...] = (
    *(Unauthenticated, Forbidden, CrossOrigin, KeysRequired, TooSlow, UnknownHost, TooManyRequests),
    Unavailable,
)
"""Errors of every operation: what is said before it is asked at all."""

RENAMED = {414: "URI Too Long"}
"""Phrases that Python's versions have under two names; a code is for programs and stays."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Breach:
    """One value of the request that is not allowed."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    pointer: str
    """Name of the parameter, or path to the field in the body, parts joined by `/`."""
    detail: str
    """What is wrong with it."""
    hint: str = ""
    """What would be allowed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, as RFC 9457 describes it; an error may add members of its own."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {**DOCUMENTED, "extra": "allow"}

    type: str
    """URN of the kind of error."""
    title: str
    """The kind of error, in words."""
    status: int
    """The HTTP status."""
    code: str
    """Short name of the kind of error; stable, for programs."""
    detail: str
    """What was wrong, and where."""
    hint: str = ""
    """What would be allowed, or how to go on."""
    pointer: str = ""
    """Name of the parameter or field at fault."""
    errors: tuple[Breach, ...] = field(default=())
    """All values that are not allowed, where there are several."""
    request_id: str = ""
    """The request's id, as in the X-Request-ID header and in the service's log."""


def responses(*errors: type[CaliperError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of an operation's errors, by status; some come with every one."""
    by_status: dict[int | str, list[type[CaliperError]]] = {}
    documented: tuple[type[CaliperError], ...] = (InvalidInput, *errors, *AT_THE_GATE, CaliperError)
    for error in dict.fromkeys(documented):
        by_status.setdefault(error.status, []).append(error)
    return {status: _document(found) for status, found in by_status.items()}


def answer_problem(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """The response that carries a problem document, with the request's id where there is one."""
    request_id = current_request_id()
    named = {"request_id": request_id} if request_id else {}
    content = json.dumps({**_finite(problem), **named}, allow_nan=False, default=str)
    # An unexpected error is answered outside of the middleware that names answers.
    header = {HEADER: request_id} if request_id else {}
    # The same holds for the middleware that adds these.
    safe = {name: value for name, value in SECURITY_HEADERS.items() if name not in (headers or {})}
    return Response(content, problem["status"], {**safe, **(headers or {}), **header}, MEDIA_TYPE)


def answer_error(error: CaliperError) -> Response:
    """The response to an error of the tree."""
    return answer_problem(error.problem(), _headers_of(error))


def _headers_of(error: CaliperError) -> dict[str, str]:
    """What HTTP asks for beside some statuses."""
    return {
        http.HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="caliper"'},
        http.HTTPStatus.REQUEST_TIMEOUT: {"Connection": "close"},
        http.HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": str(error.extra.get("retry_after", 1))},
        http.HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "5"},
    }.get(http.HTTPStatus(error.status), {})


def install_handlers(app: FastAPI) -> None:
    """Answer every error that an app can raise with a problem document."""
    app.add_exception_handler(CaliperError, _on_caliper_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected)


def framework_problem(status: int, detail: str, hint: str = "") -> dict[str, Any]:
    """The problem document of what is no error of the tree: its code is the status' own name."""
    phrase = RENAMED.get(status) or http.HTTPStatus(status).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    members = {"type": f"urn:caliper:error:{code}", "title": phrase, "status": status, "code": code}
    return {**members, "detail": detail, "hint": hint}


def suggest(name: str, known: list[str]) -> str:
    """A hint that names what would have been known, the nearest first."""
    near = get_close_matches(name, known, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}known: {', '.join(known)}" if known else "none is known here"


async def _on_caliper_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CaliperError)
    return answer_error(error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    breaches = [_breach(item, request) for item in error.errors()[:MAX_ERRORS]]
    detail = "; ".join(f"{breach.pointer}: {breach.detail}" for breach in breaches[:3])
    first = breaches[0]
    listed = [dataclasses.asdict(breach) for breach in breaches]
    refused = InvalidInput(detail, hint=first.hint, pointer=first.pointer, errors=listed)
    return answer_error(refused)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """What the framework raises itself: an unknown route, a method that the route lacks."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        document = await to_thread.run_sync(request.app.openapi)  # made once, which takes a while
        headers["Allow"] = allowed_methods(document, request.url.path, headers.get("Allow", ""))
    hint = {404: "GET /docs lists the routes", 405: f"allowed: {headers.get('Allow', '')}"}
    problem = framework_problem(error.status_code, error.detail, hint.get(error.status_code, ""))
    return answer_problem(problem, headers)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    """An error that nobody raised on purpose: its trace goes to the log, only its number to the client."""
    number = secrets.token_hex(8)
    log.error("unexpected error", number=number, path=request.url.path, exc_info=error)
    hint = "the service's log has the trace under this number"
    return answer_error(CaliperError(f"unexpected error {number}", hint=hint, number=number))


def _document(errors: list[type[CaliperError]]) -> dict[str, Any]:
    examples = {
        error.code: {"summary": error.title, "value": error(**_sample(error)).problem()} for error in errors
    }
    lines = [f"- `{error.code}`: {(error.__doc__ or '').splitlines()[0]}" for error in errors]
    content = {MEDIA_TYPE: {"schema": PROBLEM_REF, "examples": examples}}
    return {"description": "\n".join(lines), "content": content}


def _sample(error: type[CaliperError]) -> dict[str, Any]:
    """Arguments of an example of this error."""
    if "name" in error.__init__.__annotations__:
        return {"name": "bytes", "limit": 1_048_576, "actual": 1_048_577}
    return {"detail": (error.__doc__ or error.title).splitlines()[0], "hint": "what would be allowed"}


def _breach(item: Mapping[str, Any], request: Request) -> Breach:
    place, *path = item["loc"]
    pointer = "/".join(str(part) for part in path) or str(place)
    if item["type"] == "json_invalid":
        return Breach(str(place), f"no JSON: {item['ctx']['error']} at character {pointer}")
    if item["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return Breach(pointer, "no such field", suggest(str(path[-1]), _fields_at(request, path[:-1])))
    if item["type"] == "missing":
        return Breach(pointer, item["msg"], _example_at(request, path))
    return Breach(pointer, f"{item['msg']} (got {str(item.get('input'))[:80]!r})")


def _example_at(request: Request, path: list[Any]) -> str:
    """What belongs into a field that was left out, where the body's dataclass says."""
    body = getattr(request.scope.get("route"), "body_field", None)
    owner = _dataclass_in(body.field_info.annotation) if body is not None else None
    named = {item.name: item.metadata.get("example") for item in dataclasses.fields(owner)} if owner else {}
    if not path or (example := named.get(str(path[0]))) is None:
        return ""
    return f"such as {json.dumps({path[0]: example})}"


def _fields_at(request: Request, path: list[Any]) -> list[str]:
    """Names of the fields that the body's dataclass has at this path."""
    body = getattr(request.scope.get("route"), "body_field", None)
    kind = body.field_info.annotation if body is not None else None
    for part in path:
        owner = _dataclass_in(kind)
        named = {item.name: item.type for item in dataclasses.fields(owner)} if owner else {}
        kind = named.get(str(part))
    owner = _dataclass_in(kind)
    return [item.name for item in dataclasses.fields(owner)] if owner else []


def _dataclass_in(kind: Any) -> Any:
    """The dataclass that a type is or, such as `X | None`, holds."""
    candidates: Iterator[Any] = (each for each in (kind, *get_args(kind)) if isinstance(each, type))
    return next((each for each in candidates if dataclasses.is_dataclass(each)), None)


def _finite(value: Any) -> Any:
    """JSON cannot say NaN or infinity: they become null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
