"""The route class of every operation: unknown parameters are refused, bodies are limited."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ClassVar

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
        queries = names_of(self.dependant, "query_params")
        fields = names_of(self.dependant, "body_params")

        async def handle_checked(request: Request) -> Response:
            require_role(request.scope, self.path)
            check_known("query parameter", request.query_params, queries)
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
    own = [field.alias for field in getattr(dependant, kind)]
    return own + [name for each in dependant.dependencies for name in names_of(each, kind)]


def check_known(what: str, given: Iterable[str], known: list[str]) -> None:
    """Raise InvalidInput for a name that is not among the known ones."""
    for name in given:
        if name not in known:
            shown = name[:80]
            raise InvalidInput(f"unknown {what} {shown!r}", hint=suggest(shown, known), pointer=shown)


def _cause_of(error: HTTPException) -> Exception:
    """FastAPI turns what goes wrong while a body is read into a plain 400; this is what it was."""
    if isinstance(error.__cause__, CaliperError):
        return error.__cause__
    if error.status_code == 400:
        return InvalidInput(f"the body cannot be read: {error.detail}", hint="see the request body in /docs")
    return error
