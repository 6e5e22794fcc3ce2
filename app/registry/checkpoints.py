"""Checkpoints: add, find by id or alias, list with filters, tag, alias, delete."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.jobs.lifecycle import FINISH
from app.registry.attempts import Hold
from app.registry.jobs import datasets_of
from app.registry.tables import Alias, Checkpoint, Job, Tag, utc_now

MOST_ANCESTORS = 1_000
"""Longest line of parents that is followed."""


def add_checkpoint(session: Session, checkpoint: Checkpoint) -> Checkpoint:
    """Register a checkpoint whose bytes are in the storage."""
    session.add(checkpoint)
    session.flush()
    return checkpoint


def point_job_at(session: Session, hold: Hold, checkpoint_id: str) -> bool:
    """Make a checkpoint the one that the job resumes from; False when the fence no longer holds the job."""
    held = update(Job).where(Job.id == hold.job_id, Job.fence == hold.fence, Job.state.in_(FINISH.sources))
    return session.execute(held.values(resume_from=checkpoint_id).returning(Job.id)).first() is not None


def find_checkpoint(session: Session, id_or_alias: str) -> Checkpoint:
    """The checkpoint with this id or alias; NotFound where there is none or it was deleted."""
    named = select(Alias.checkpoint_id).where(Alias.alias == id_or_alias)
    query = select(Checkpoint).where(or_(Checkpoint.id == id_or_alias, Checkpoint.id.in_(named)))
    checkpoint = session.scalars(query.limit(1)).one_or_none()
    if checkpoint is None:
        raise NotFound(f"there is no checkpoint {id_or_alias!r}", hint="GET /checkpoints lists them")
    if checkpoint.deleted_at is not None:
        raise NotFound(
            f"the checkpoint {id_or_alias!r} was deleted", hint="GET /checkpoints lists those that are left"
        )
    return checkpoint


def find_twin(session: Session, name: str, sha256: str) -> Checkpoint | None:
    """The uploaded checkpoint of this name and content, the oldest of several; None where there is none."""
    query = select(Checkpoint).where(
        Checkpoint.sha256 == sha256,
        Checkpoint.name == name,
        Checkpoint.kind == "uploaded",
        Checkpoint.deleted_at.is_(None),
    )
    return session.scalars(query.order_by(Checkpoint.created_at, Checkpoint.id).limit(1)).first()


def ancestors_of(session: Session, checkpoint: Checkpoint, most: int = MOST_ANCESTORS) -> tuple[str, ...]:
    """Ids of the checkpoints that its training started from, the nearest first; deleted ones count too."""
    found: list[str] = []
    parent = checkpoint.parent_id
    while parent is not None and parent not in found and len(found) < most:
        found.append(parent)
        parent = session.scalars(select(Checkpoint.parent_id).where(Checkpoint.id == parent)).first()
    return tuple(found)


def files_of(session: Session, ids: Sequence[str]) -> tuple[str, ...]:
    """Hashes of the files of these checkpoints, each once, in no order."""
    return tuple(sorted(set(session.scalars(select(Checkpoint.sha256).where(Checkpoint.id.in_(ids))))))


def checkpoint_datasets(session: Session, rows: Sequence[Checkpoint]) -> dict[str, list[str]]:
    """Ids of the datasets that each checkpoint's job trained on, by checkpoint id; empty for an upload's."""
    by_job = datasets_of(session, {row.job_id for row in rows if row.job_id is not None})
    own = {row.id: [] if row.dataset_id is None else [row.dataset_id] for row in rows}
    return {row.id: by_job.get(row.job_id or "", own[row.id]) for row in rows}


def list_checkpoints(
    session: Session, *, limit: int, before: str | None = None, filters: Mapping[str, str | int] | None = None
) -> Sequence[Checkpoint]:
    """Newest first, older than the id `before`; filters: hidden_dims, obs_dim, producer, kind, job_id, sha256, tag."""
    query = (
        select(Checkpoint).where(Checkpoint.deleted_at.is_(None)).order_by(Checkpoint.id.desc()).limit(limit)
    )
    query = query.where(Checkpoint.id < before) if before else query
    for name, value in (filters or {}).items():
        if name == "tag":
            query = query.where(
                select(Tag.tag).where(Tag.checkpoint_id == Checkpoint.id, Tag.tag == value).exists()
            )
        else:
            query = query.where(getattr(Checkpoint, name) == value)
    return session.scalars(query).all()


def labels_of(session: Session, ids: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Tags and aliases of these checkpoints, by checkpoint id, each sorted."""
    tags: dict[str, list[str]] = {}
    for tag in session.scalars(select(Tag).where(Tag.checkpoint_id.in_(ids)).order_by(Tag.tag)):
        tags.setdefault(tag.checkpoint_id, []).append(tag.tag)
    aliases: dict[str, list[str]] = {}
    for alias in session.scalars(select(Alias).where(Alias.checkpoint_id.in_(ids)).order_by(Alias.alias)):
        aliases.setdefault(alias.checkpoint_id, []).append(alias.alias)
    return tags, aliases


def set_tags(session: Session, checkpoint_id: str, tags: Iterable[str]) -> None:
    """Replace the checkpoint's tags."""
    session.execute(delete(Tag).where(Tag.checkpoint_id == checkpoint_id))
    session.add_all(Tag(checkpoint_id=checkpoint_id, tag=tag) for tag in sorted(set(tags)))
    session.flush()


def add_tags(session: Session, checkpoint_id: str, tags: Iterable[str]) -> None:
    """Put further tags on the checkpoint."""
    held = set(session.scalars(select(Tag.tag).where(Tag.checkpoint_id == checkpoint_id)))
    session.add_all(Tag(checkpoint_id=checkpoint_id, tag=tag) for tag in sorted(set(tags) - held))
    session.flush()


def set_aliases(session: Session, checkpoint_id: str, aliases: Iterable[str]) -> None:
    """Replace the checkpoint's aliases; an alias that pointed elsewhere moves here."""
    wanted = sorted(set(aliases))
    session.execute(delete(Alias).where(or_(Alias.checkpoint_id == checkpoint_id, Alias.alias.in_(wanted))))
    session.add_all(Alias(alias=alias, checkpoint_id=checkpoint_id) for alias in wanted)
    session.flush()


def delete_checkpoint(session: Session, checkpoint: Checkpoint) -> bool:
    """Mark as deleted and free its aliases; True when no other row needs its bytes."""
    checkpoint.deleted_at = utc_now()
    session.execute(delete(Alias).where(Alias.checkpoint_id == checkpoint.id))
    session.flush()
    others = select(Checkpoint.id).where(
        Checkpoint.sha256 == checkpoint.sha256, Checkpoint.deleted_at.is_(None)
    )
    return session.scalars(others.limit(1)).first() is None
