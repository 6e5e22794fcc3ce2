"""Whose key this is."""

from contextlib import suppress

from app.access import Caller, Role, is_key, prefix_of
from app.errors import Unauthenticated, Unavailable
from app.registry.database import Database
from app.registry.keys import find_by_prefix, is_valid, needs_stamp, stamp_use

HINT = "send `Authorization: Bearer <key>`; an admin makes keys: POST /keys, or `caliper keys create`"


def verify_key(database: Database, key: str) -> Caller:
    """The caller who holds this key, whose use is stamped now and then.

    Raises Unauthenticated, which does not tell an unknown key from one that is not valid any more, and
    Unavailable where the registry does not answer.
    """
    prefix = prefix_of(key)
    if prefix is None:
        raise Unauthenticated("this is no API key", hint=HINT)
    with database.read() as session:
        row = find_by_prefix(session, prefix)
    if row is None or not is_key(key, row.sha256) or not is_valid(row):
        raise Unauthenticated("the API key is unknown, revoked or expired", hint=HINT)
    if needs_stamp(row):
        with suppress(Unavailable), database.write() as session:
            stamp_use(session, row.id)
    return Caller(Role(row.role), row.id, row.name)
