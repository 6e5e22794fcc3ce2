"""Make an API key: shown once, kept as a hash."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.access import Caller, Role, make_key
from app.registry.audit import add_entry
from app.registry.database import Database, new_id
from app.registry.keys import add_key
from app.registry.tables import ApiKey, AuditEntry, utc_now

TERMINAL = "TERMINAL"
"""What stands for the HTTP method in the audit of what was done on the registry itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
    """What a key is to be; a limit that is None is the service's own."""

    name: str
    """How it is called."""
    role: Role
    """What it may do."""
    days: float | None = None
    """Days until it expires; None: never."""
    max_open_jobs: int | None = None
    """Most jobs that wait or run."""
    max_upload_bytes: int | None = None
    """Most bytes stored."""
    max_gpu_hours: float | None = None
    """Most hours that its jobs may run within the service's span of days."""


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that was made."""

    row: ApiKey
    """What the registry keeps of it."""
    secret: str
    """The key itself, known from now on only to whoever is told here."""

    def __repr__(self) -> str:
        """Never the key itself."""
        return f"MadeKey({self.row.prefix!r})"


def create_key(database: Database, wish: KeyWish, caller: Caller | None = None) -> MadeKey:
    """Register a new key of 256 random bits; `caller` is None in a terminal, which the audit then tells itself."""
    new = make_key()
    row = ApiKey(
        id=new_id("key"),
        name=wish.name,
        prefix=new.prefix,
        sha256=new.sha256,
        role=str(wish.role),
        max_open_jobs=wish.max_open_jobs,
        max_upload_bytes=wish.max_upload_bytes,
        max_gpu_hours=wish.max_gpu_hours,
        created_by=caller.key_id if caller else None,
        expires_at=_expiry(wish.days),
    )
    with database.write() as session:
        add_key(session, row)
        if caller is None:
            add_entry(session, terminal_entry("caliper keys create", "Make an API key", row.id))
    return MadeKey(row, new.secret)


def terminal_entry(command: str, action: str, target: str) -> AuditEntry:
    """The audit's entry of a command that worked on the registry itself."""
    return AuditEntry(
        id=new_id("audit"),
        method=TERMINAL,
        route=command,
        action=action,
        target=target,
        status=0,
        outcome="done",
        skipped=0,
    )


def _expiry(days: float | None) -> datetime | None:
    return None if days is None else utc_now() + timedelta(days=days)
