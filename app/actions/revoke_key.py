"""Revoke an API key."""

from app.access import Caller
from app.actions.make_key import terminal_entry
from app.registry import keys
from app.registry.audit import add_entry
from app.registry.database import Database
from app.registry.tables import ApiKey


def revoke_key(database: Database, key_id: str, caller: Caller | None = None) -> ApiKey:
    """Make a key invalid for good, by its id or prefix; its row and what it made stay. Raises NotFound."""
    with database.write() as session:
        row = keys.revoke_key(session, key_id)
        if caller is None:
            add_entry(session, terminal_entry("caliper keys revoke", "Revoke an API key", row.id))
        return row
