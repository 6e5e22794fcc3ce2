"""What the service answers when it refuses, and what stands in its place when it does not answer at all."""

from collections.abc import Mapping
from typing import Any, Self

import httpx

PROBLEM_MEMBERS = frozenset({"type", "title", "status", "code", "detail", "hint", "pointer"})
"""Members that every problem document may have; what else it holds is `extra`."""

TRY_AGAIN = frozenset({502, 503, 504})
"""Statuses of a service, or of the proxy before it, that may answer soon."""


class ServiceError(Exception):
    """The service refused a request or failed at it: an RFC 9457 problem document as an exception.

    `code` is Caliper's name of the error and `status` the HTTP status; `detail` says what was wrong, `hint`
    what would be allowed, `pointer` which field is meant; `extra` holds the document's other members.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str = "error",
        status: int = 0,
        hint: str = "",
        pointer: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.hint = hint
        self.pointer = pointer
        self.extra = dict(extra or {})


class ServiceUnreachable(ServiceError):
    """Nothing answers at the address, it stopped answering, or it said that it cannot just now (502, 503, 504)."""

    @classmethod
    def at(cls, url: str, cause: Exception) -> Self:
        """The error for a service at `url` that could not be talked to."""
        hint = "start it with `caliper serve`, or name another with --url or CALIPER_URL"
        if isinstance(cause, httpx.ConnectError):
            return cls(f"no service answers at {url}", code="unreachable", hint=hint)
        if isinstance(cause, httpx.TimeoutException):
            return cls(f"the service at {url} did not answer in time", code="timeout", hint="try again later")
        reason = str(cause) or type(cause).__name__
        return cls(f"the connection to {url} broke: {reason}", code="unreachable", hint=hint)


def refusal(response: httpx.Response) -> ServiceError:
    """The error that an answer of 4xx or 5xx stands for; its body must have been read."""
    status = response.status_code
    kind = ServiceUnreachable if status in TRY_AGAIN else ServiceError
    problem = _problem(response)
    if problem is None:
        detail = f"{response.request.url} answered {status} {response.reason_phrase}".rstrip()
        hint = "is this the address of a Caliper service?"
        return kind(detail, code="unexpected_answer", status=status, hint=hint)
    return kind(
        str(problem.get("detail") or problem.get("title") or "the service gave no detail"),
        code=str(problem.get("code", "error")),
        status=status,
        hint=str(problem.get("hint", "")),
        pointer=str(problem.get("pointer", "")),
        extra={name: value for name, value in problem.items() if name not in PROBLEM_MEMBERS},
    )


def _problem(response: httpx.Response) -> dict[str, Any] | None:
    if "json" not in response.headers.get("content-type", ""):
        return None
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
