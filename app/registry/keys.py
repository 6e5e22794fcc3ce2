"""API keys: add, find by prefix, list, revoke; their rows are never deleted."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.registry.tables import ApiKey, utc_now

STAMP_SECONDS = 300.0
"""How old the stamp of a key's last use becomes before it is renewed: requests do not write one each."""


def add_key(session: Session, key: ApiKey) -> ApiKey:
    """Register a key."""
    session.add(key)
    session.flush()
    return key


def find_by_prefix(session: Session, prefix: str) -> ApiKey | None:
    """The key of a prefix, valid or not."""
    return session.scalars(select(ApiKey).where(ApiKey.prefix == prefix)).one_or_none()


def get_key(session: Session, key_id: str) -> ApiKey:
    """The key with this id or prefix, or NotFound."""
    found = session.scalars(select(ApiKey).where(or_(ApiKey.id == key_id, ApiKey.prefix == key_id))).first()
    if found is None:
        raise NotFound(f"there is no key {key_id[:80]!r}", hint="GET /keys lists them", pointer="key_id")
    return found


def lock_key(session: Session, key_id: str) -> ApiKey:
    """The key, held until the transaction ends: whoever counts what it uses counts alone."""
    return session.scalars(select(ApiKey).where(ApiKey.id == key_id).with_for_update()).one()


def list_keys(session: Session, *, limit: int, before: str | None = None) -> Sequence[ApiKey]:
    """Newest first, at most `limit`, older than the id `before`; revoked ones too."""
    query = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit)
    return session.scalars(query.where(ApiKey.id < before) if before else query).all()


def revoke_key(session: Session, key_id: str) -> ApiKey:
    """Make a key invalid for good; one that is so already stays as it was. Raises NotFound."""
    key = get_key(session, key_id)
    if key.revoked_at is None:
        key.revoked_at = utc_now()
        session.flush()
    return key


def is_valid(key: ApiKey, now: datetime | None = None) -> bool:
    """Whether a key is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > (now or utc_now()))


def needs_stamp(key: ApiKey, now: datetime | None = None) -> bool:
    """Whether the stamp of its last use is old."""
    before = (now or utc_now()) - timedelta(seconds=STAMP_SECONDS)
    return key.last_used_at is None or key.last_used_at < before


def stamp_use(session: Session, key_id: str) -> None:
    """Note that a key was used."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=utc_now()))
