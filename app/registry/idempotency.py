"""Idempotency-Key: the same key with the same body gives the resource that it made the first time.

Keys are kept for good: a request repeated after a long outage must not become a second job.
"""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import IdempotencyMismatch
from app.registry.tables import Idempotency


def scope_of(kind: str, key_id: str | None) -> str:
    """Where an Idempotency-Key holds: among the things of a kind that one API key makes."""
    return kind if key_id is None else f"{kind}:{key_id}"


def recall(session: Session, scope: str, key: str, body_sha256: str) -> str | None:
    """The resource that this key made, or None; raises IdempotencyMismatch when the body was another."""
    row = session.get(Idempotency, (scope, key))
    if row is None:
        return None
    if row.body_sha256 != body_sha256:
        raise IdempotencyMismatch(
            f"the Idempotency-Key {key!r} was used with another body",
            hint="use a new key for a new request",
            resource_id=row.resource_id,
        )
    return row.resource_id


def bind(session: Session, scope: str, key: str, body_sha256: str, resource_id: str) -> str:
    """Bind the key to what it makes, and return the resource that holds it.

    That is `resource_id`, or, of requests at once with one key, what the first of them makes: the primary
    key lets only one in, and the others wait for it.
    """
    try:
        with session.begin_nested():
            session.add(Idempotency(scope=scope, key=key, body_sha256=body_sha256, resource_id=resource_id))
    except IntegrityError:
        return recall(session, scope, key, body_sha256) or resource_id
    return resource_id
