"""What the clients in JSON ask about API keys and the audit: for admins, but for a key's look at itself."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from app.client import answers, calls
from app.client.awaiting import Awaiting
from app.client.blocking import Blocking


class BlockingAccess(Blocking):
    """The part of `Client` that concerns keys."""

    def create_key(self, name: str, role: str, **limits: Any) -> answers.NewKeyView:
        """Make an API key, `reader`, `trainer` or `admin`; `limits` are the other fields of POST /keys.

        The key itself is in this answer alone.
        """
        return self._json(calls.create_key({"name": name, "role": role, **limits}))

    def api_keys(self, **filters: Any) -> Iterator[answers.KeyView]:
        """All API keys, the newest first, revoked ones too."""
        return self._pages(calls.keys, filters)

    def own_key(self) -> answers.KeyUse:
        """The key that this client sends: its role, its limits, and what it has used of them."""
        return self._json(calls.own_key())

    def revoke_key(self, key_id: str) -> None:
        """Make a key, by id or prefix, invalid for good."""
        self._send(calls.revoke_key(key_id))

    def audit(self, **filters: Any) -> Iterator[answers.AuditView]:
        """What was changed, and what was refused, the newest first; of one `key`, or about one `target`."""
        return self._pages(calls.audit, filters)


class AwaitingAccess(Awaiting):
    """The same part of `AsyncClient`."""

    async def create_key(self, name: str, role: str, **limits: Any) -> answers.NewKeyView:
        """Make an API key, `reader`, `trainer` or `admin`; `limits` are the other fields of POST /keys.

        The key itself is in this answer alone.
        """
        return await self._json(calls.create_key({"name": name, "role": role, **limits}))

    def api_keys(self, **filters: Any) -> AsyncIterator[answers.KeyView]:
        """All API keys, the newest first, revoked ones too."""
        return self._pages(calls.keys, filters)

    async def own_key(self) -> answers.KeyUse:
        """The key that this client sends: its role, its limits, and what it has used of them."""
        return await self._json(calls.own_key())

    async def revoke_key(self, key_id: str) -> None:
        """Make a key, by id or prefix, invalid for good."""
        await self._send(calls.revoke_key(key_id))

    def audit(self, **filters: Any) -> AsyncIterator[answers.AuditView]:
        """What was changed, and what was refused, the newest first; of one `key`, or about one `target`."""
        return self._pages(calls.audit, filters)
