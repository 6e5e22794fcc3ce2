"""How API keys and the audit are shown, and what a key is asked for with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from app.access import Role
from app.actions.check_quota import most_bytes, most_hours, most_jobs
from app.api.dependencies import PRINTABLE
from app.api.parameters import documented_like
from app.api.rows import view_row
from app.network.shape import DOCUMENTED
from app.registry.keys import is_valid
from app.registry.tables import ApiKey
from app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A key that is to be made; a limit that is left out is the service's own."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
    """How it is called: whose it is, or what for."""
    role: Role
    """`reader` looks at everything, `trainer` also uploads and trains, `admin` may do all."""
    days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] | None = None
    """Days until it expires; left out: never."""
    max_open_jobs: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """Most jobs that wait or run."""
    max_upload_bytes: Annotated[int, Field(ge=0, le=1 << 50)] | None = None
    """Most bytes stored."""
    max_gpu_hours: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    """Most hours that its jobs may run within the service's span of days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """An API key, without what only its holder knows."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Identifier."""
    name: str
    """How it is called."""
    prefix: str
    """What it begins with."""
    role: Role
    """What it may do."""
    is_valid: bool
    """Whether it is neither revoked nor expired."""
    max_open_jobs: int
    """Most jobs that wait or run."""
    max_upload_bytes: int
    """Most bytes stored."""
    max_gpu_hours: float
    """Most hours that its jobs may run within the service's span of days."""
    created_by: str | None
    """The key that made it; null where it was made in a terminal, or while keys were off."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """When it ends by itself."""
    revoked_at: datetime | None
    """When it was revoked."""
    last_used_at: datetime | None
    """When it was used last, to within some minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKeyView(KeyView):
    """A key that was just made, with the key itself: it is shown here once and never again."""

    __pydantic_config__: ClassVar[dict[str, Any]] = documented_like(KeyView)

    key: str
    """What to send as `Authorization: Bearer …`; the service keeps only its hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse(KeyView):
    """A key and what it has used of its limits."""

    __pydantic_config__: ClassVar[dict[str, Any]] = documented_like(KeyView)

    open_jobs: int
    """Jobs that wait or run."""
    upload_bytes: int
    """Bytes stored, and announced by uploads in parts."""
    gpu_hours: float
    """Hours that its jobs ran within the span of days that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """A request that changed something, or was refused to."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Identifier; sorts by time."""
    at: datetime
    """When it was answered."""
    key_id: str | None
    """The API key that it carried; null where keys were off, or it carried none that is valid."""
    address: str | None
    """Where it came from; null for what was done in a terminal on the registry itself."""
    method: str
    """HTTP method."""
    route: str
    """The operation's path with names for ids; the path itself of a request that did not come so far."""
    action: str
    """What the operation does."""
    target: str | None
    """What it was about: an id or a name."""
    status: int
    """HTTP status of the answer; 0 for what was done in a terminal."""
    outcome: str
    """`done`, `refused` (not let in), `rejected` (not possible) or `failed`."""
    request_id: str | None
    """The request's id, as in the log."""
    skipped: int
    """Refusals before this one that were not written down, because there were too many."""


def limits_of(row: ApiKey, settings: Settings) -> dict[str, Any]:
    """The key's limits, the service's where it has none of its own."""
    return {
        "role": Role(row.role),
        "is_valid": is_valid(row),
        "max_open_jobs": most_jobs(settings, row),
        "max_upload_bytes": most_bytes(settings, row),
        "max_gpu_hours": most_hours(settings, row),
    }


def view_key(row: ApiKey, settings: Settings) -> KeyView:
    """A key as it is listed."""
    return view_row(row, KeyView, **limits_of(row, settings))
