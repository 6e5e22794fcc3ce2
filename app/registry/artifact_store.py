"""Which storage the registry's files lie in."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.registry.database import new_id
from app.registry.tables import ArtifactStore

_ONLY = 1


def known_store(session: Session) -> ArtifactStore | None:
    """The storage that this registry knows as its own."""
    return session.get(ArtifactStore, _ONLY)


def choose_store(session: Session, address: str) -> ArtifactStore:
    """Give the storage there a mark, which is still to be left in it; the row that is there already wins."""
    try:
        with session.begin_nested():
            session.add(ArtifactStore(id=_ONLY, mark=new_id("storage"), address=address, is_marked=False))
    except IntegrityError:
        session.expire_all()
    return session.get_one(ArtifactStore, _ONLY)


def keep_store(session: Session, mark: str, address: str) -> None:
    """Know the storage with this mark as one's own, in place of another."""
    session.merge(ArtifactStore(id=_ONLY, mark=mark, address=address, is_marked=True))
