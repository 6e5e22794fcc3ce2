"""The route class of every operation: unknown and repeated parameters are refused, bodies are limited."""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, ClassVar, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.api.callers import require_role
from app.api.problems import suggest
from app.api.uploads import LimitedRequest
from app.errors import CaliperError, InvalidInput


class Operation(APIRoute):
    """A route that takes only what it documents; `upload_limit` names the setting that limits a file."""

    upload_limit: ClassVar[str] = "max_upload_bytes"
    is_file: ClassVar[bool] = False
    """Whether a body that is no form is a file, or a part of one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the checks that come before it."""
        handle = super().get_route_handler()
        queries, several = names_of(self.dependant, "query_params"), names_of_lists(self.dependant)
        fields = names_of(self.dependant, "body_params")

        async def handle_checked(request: Request) -> Response:
            require_role(request.scope, self.path)
            check_known("query parameter", request.query_params, queries)
            check_once((name for name, _ in request.query_params.multi_items()), several)
            settings = request.app.state.parts.settings
            limited = LimitedRequest(
                request,
                settings,
                file_limit=getattr(settings, self.upload_limit),
                fields=fields,
                is_file=self.is_file,
            )
            try:
                return await handle(limited)
            except HTTPException as error:
                raise _cause_of(error) from error

        return handle_checked


class DatasetOperation(Operation):
    """A route whose uploads are datasets."""

    upload_limit = "max_dataset_bytes"


class PartOperation(Operation):
    """A route whose body is a part of a file."""

    is_file = True


def names_of(dependant: Dependant, kind: str) -> list[str]:
    """Names of the parameters of one kind that an operation and its dependencies take."""
    return [field.alias for field in _fields_of(dependant, kind)]


def names_of_lists(dependant: Dependant) -> list[str]:
    """Names of its query parameters that may stand in a query several times."""
    fields = _fields_of(dependant, "query_params")
    return [field.alias for field in fields if _is_list(field.field_info.annotation)]


def check_known(what: str, given: Iterable[str], known: list[str]) -> None:
    """Raise InvalidInput for a name that is not among the known ones."""
    for name in given:
        if name not in known:
            shown = name[:80]
            raise InvalidInput(f"unknown {what} {shown!r}", hint=suggest(shown, known), pointer=shown)


def check_once(given: Iterable[str], several: list[str]) -> None:
    """Raise InvalidInput for a name that stands there twice: one of its values would be passed over in silence."""
    for name, count in Counter(given).items():
        if count > 1 and name not in several:
            only = f"; only {', '.join(several)} may be repeated" if several else ""
            raise InvalidInput(
                f"query parameter {name!r} is given {count} times", hint=f"give it once{only}", pointer=name
            )


def _fields_of(dependant: Dependant, kind: str) -> Iterator[Any]:
    """The fields of one kind of an operation and its dependencies."""
    yield from getattr(dependant, kind)
    for each in dependant.dependencies:
        yield from _fields_of(each, kind)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(_is_list(part) for part in get_args(annotation))


def _cause_of(error: HTTPException) -> Exception:
    """FastAPI turns what goes wrong while a body is read into a plain 400; this is what it was."""
    if isinstance(error.__cause__, CaliperError):
        return error.__cause__
    if error.status_code == 400:
        return InvalidInput(f"the body cannot be read: {error.detail}", hint="see the request body in /docs")
    return error
