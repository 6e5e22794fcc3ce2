"""Writes down who changed what, or was refused to: before the answer is sent, and refusals only so many."""

import structlog
from anyio import to_thread
from starlette.types import Scope

from app.access import Caller
from app.api.rates import TokenBuckets
from app.errors import Unavailable
from app.logs import current_request_id
from app.registry.audit import add_entry
from app.registry.database import Database, new_id
from app.registry.tables import AuditEntry

REFUSALS_PER_SECOND = 1.0
"""Refusals that are written down, on average: whoever is refused must not fill the registry."""

REFUSALS_AT_ONCE = 60
"""Refusals that are written down at once."""

REFUSED = frozenset({401, 403, 421, 429})
"""Statuses of a request that was not let do what it wanted."""

log = structlog.get_logger()


class Auditor:
    """The audit, as requests write it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._refusals = TokenBuckets(REFUSALS_PER_SECOND, REFUSALS_AT_ONCE)
        self._skipped = 0

    async def note(
        self, scope: Scope, caller: Caller | None, address: str, status: int, location: str = ""
    ) -> None:
        """Write down how a request ended; where the registry does not answer, the log has it instead."""
        outcome = outcome_of(status)
        if outcome == "refused" and self._refusals.take(""):
            self._skipped += 1
            return
        entry = AuditEntry(
            id=new_id("audit"),
            key_id=caller.key_id if caller else None,
            address=address[:60] or None,
            method=scope["method"][:10],
            route=route_of(scope)[:200],
            action=action_of(scope)[:60],
            target=target_of(scope, location),
            status=status,
            outcome=outcome,
            request_id=current_request_id(),
            skipped=self._skipped,
        )
        self._skipped = 0
        try:
            await to_thread.run_sync(self._write, entry)
        except Unavailable as error:
            log.warning("not in the audit", route=entry.route, status=status, error=error.detail)

    def _write(self, entry: AuditEntry) -> None:
        with self._database.write() as session:
            add_entry(session, entry)


def outcome_of(status: int) -> str:
    """An answer's status in a word: done, refused, rejected or failed."""
    if status < 400:
        return "done"
    if status in REFUSED:
        return "refused"
    return "rejected" if status < 500 else "failed"


def route_of(scope: Scope) -> str:
    """The operation's path with names for ids; the path itself where the request did not come so far."""
    return str(getattr(scope.get("route"), "path", None) or _printable(scope["path"]))


def action_of(scope: Scope) -> str:
    """What the operation does, in the words of its documentation."""
    return str(getattr(scope.get("route"), "summary", None) or "")


def target_of(scope: Scope, location: str) -> str | None:
    """What it was about: the id in the path, else that of what was made."""
    named = [str(value) for value in scope.get("path_params", {}).values()]
    made = location.rpartition("/")[2]
    return _printable(named[0] if named else made)[:200] or None


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
