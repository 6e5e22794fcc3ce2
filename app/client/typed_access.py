"""The same as access.py, answered with the service's dataclasses."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from app.client import kinds
from app.client.asynchronous import AsyncClient
from app.client.client import Client


class TypedAccess:
    """The part of `Caliper` that concerns keys."""

    json: Client

    def create_key(self, name: str, role: str, **limits: Any) -> kinds.NewKeyView:
        """Make an API key, `reader`, `trainer` or `admin`; `limits` are the other fields of POST /keys.

        The key itself is in this answer alone.
        """
        return kinds.read(kinds.NewKeyView, self.json.create_key(name, role, **limits))

    def api_keys(self, **filters: Any) -> Iterator[kinds.KeyView]:
        """All API keys, the newest first, revoked ones too."""
        return (kinds.read(kinds.KeyView, row) for row in self.json.api_keys(**filters))

    def own_key(self) -> kinds.KeyUse:
        """The key that this client sends: its role, its limits, and what it has used of them."""
        return kinds.read(kinds.KeyUse, self.json.own_key())

    def revoke_key(self, key_id: str) -> None:
        """Make a key, by id or prefix, invalid for good."""
        self.json.revoke_key(key_id)

    def audit(self, **filters: Any) -> Iterator[kinds.AuditView]:
        """What was changed, and what was refused, the newest first; of one `key`, or about one `target`."""
        return (kinds.read(kinds.AuditView, row) for row in self.json.audit(**filters))


class AsyncTypedAccess:
    """The same part of `AsyncCaliper`."""

    json: AsyncClient

    async def create_key(self, name: str, role: str, **limits: Any) -> kinds.NewKeyView:
        """Make an API key, `reader`, `trainer` or `admin`; `limits` are the other fields of POST /keys.

        The key itself is in this answer alone.
        """
        return kinds.read(kinds.NewKeyView, await self.json.create_key(name, role, **limits))

    async def api_keys(self, **filters: Any) -> AsyncIterator[kinds.KeyView]:
        """All API keys, the newest first, revoked ones too."""
        async for row in self.json.api_keys(**filters):
            yield kinds.read(kinds.KeyView, row)

    async def own_key(self) -> kinds.KeyUse:
        """The key that this client sends: its role, its limits, and what it has used of them."""
        return kinds.read(kinds.KeyUse, await self.json.own_key())

    async def revoke_key(self, key_id: str) -> None:
        """Make a key, by id or prefix, invalid for good."""
        await self.json.revoke_key(key_id)

    async def audit(self, **filters: Any) -> AsyncIterator[kinds.AuditView]:
        """What was changed, and what was refused, the newest first; of one `key`, or about one `target`."""
        async for row in self.json.audit(**filters):
            yield kinds.read(kinds.AuditView, row)
