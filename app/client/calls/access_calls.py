"""What is asked about API keys and the audit."""

from collections.abc import Mapping
from typing import Any

from app.client.answers import AuditView, KeyUse, KeyView, NewKeyView, Page
from app.client.calls.call import Call, get, path_of


def create_key(wish: Mapping[str, Any]) -> Call[NewKeyView]:
    """Make an API key."""
    body = {name: value for name, value in wish.items() if value is not None}
    return Call(method="POST", path="/keys", body=body)


def keys(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[KeyView]]:
    """A page of API keys."""
    return get("/keys", **filters, cursor=cursor)


def own_key() -> Call[KeyUse]:
    """The key that the client sends."""
    return get("/keys/self")


def revoke_key(key_id: str) -> Call[None]:
    """Make a key invalid for good."""
    return Call(method="DELETE", path=path_of("keys", key_id), idempotent=True)


def audit(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[AuditView]]:
    """A page of what was changed."""
    return get("/audit", **filters, cursor=cursor)
