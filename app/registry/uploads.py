"""Uploads in parts: begin, find, renew, finish, expire."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, true, update
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.registry.tables import Upload, utc_now


def add_upload(session: Session, upload: Upload) -> Upload:
    """Register an upload that is about to come."""
    session.add(upload)
    session.flush()
    return upload


def find_upload(session: Session, upload_id: str) -> Upload:
    """The upload with this id; NotFound where there is none or its time is over."""
    upload = session.get(Upload, upload_id)
    if upload is None or upload.expires_at <= utc_now():
        hint = "POST /uploads begins one; an unfinished one is kept for a limited time after its last part"
        raise NotFound(f"there is no upload {upload_id[:80]!r}", hint=hint)
    return upload


def find_open(session: Session, wanted: Upload) -> Upload | None:
    """The unfinished upload of this very file and key, the oldest of several; None where there is none."""
    query = select(Upload).where(
        Upload.sha256 == wanted.sha256,
        Upload.name == wanted.name,
        Upload.bytes == wanted.bytes,
        Upload.key_id == wanted.key_id if wanted.key_id is not None else true(),
        Upload.checkpoint_id.is_(None),
        Upload.expires_at > utc_now(),
    )
    return session.scalars(query.order_by(Upload.created_at, Upload.id).limit(1)).first()


def expiry(ttl_seconds: float) -> datetime:
    """When an upload that was written to now is given up."""
    return utc_now() + timedelta(seconds=ttl_seconds)


def count_open(session: Session) -> int:
    """Uploads that are not finished."""
    query = select(func.count()).select_from(Upload)
    return session.scalars(query.where(Upload.checkpoint_id.is_(None), Upload.expires_at > utc_now())).one()


def expired_uploads(session: Session) -> Sequence[Upload]:
    """Uploads whose time is over, finished ones included."""
    return session.scalars(select(Upload).where(Upload.expires_at <= utc_now())).all()


def renew_uploads(session: Session, ids: Sequence[str], expires_at: datetime) -> None:
    """Give these uploads more time."""
    session.execute(update(Upload).where(Upload.id.in_(ids)).values(expires_at=expires_at))


def drop_uploads(session: Session, ids: Sequence[str]) -> None:
    """Forget these uploads."""
    session.execute(delete(Upload).where(Upload.id.in_(ids)))
