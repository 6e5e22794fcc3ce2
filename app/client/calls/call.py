"""One request of the REST API, and what requests are made of."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

Answer = TypeVar("Answer")

IDEMPOTENCY_HEADER = "Idempotency-Key"


OnProgress = Callable[[int, int], None]
"""Told the bytes that have been sent or have arrived, and those in all."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes of a file."""

    file: Path
    """The file."""
    start: int
    """Its first byte."""
    length: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Answer]):
    """One request of the REST API, by the type of its answer."""

    method: str
    """HTTP method."""
    path: str
    """Path below the service's address."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Query; None is left out."""
    body: Any = None
    """JSON body."""
    form: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a multipart form, beside the files."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files by form field; they are streamed, never held in memory."""
    part: FilePart | None = None
    """A part of a file as the body; it is streamed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of this request alone."""
    on_progress: OnProgress | None = None
    """Told how much of its file was sent."""
    idempotent: bool = False
    """Whether it says how something shall be, and so may be said twice."""

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method == "GET" or self.idempotent or IDEMPOTENCY_HEADER in self.headers

    def query(self) -> httpx.QueryParams:
        """The query without what was left out."""
        return httpx.QueryParams({name: value for name, value in self.params.items() if value is not None})


def get(path: str, **params: Any) -> Call[Any]:
    """A GET request with its query."""
    return Call(method="GET", path=path, params=params)


def path_of(*parts: str) -> str:
    """A path of parts, each quoted."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def idempotency(key: str | None) -> dict[str, str]:
    """A key of its own where none was given: the request may be sent again after its connection broke."""
    return {IDEMPOTENCY_HEADER: key or secrets.token_hex(16)}


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Form fields as text, without those that were left out."""
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in fields.items()}
    return {name: value for name, value in texts.items() if value not in (None, "")}
