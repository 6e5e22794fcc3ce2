"""Checkpoints: add, find by id or alias, tag, alias, delete."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, literal, or_, select, true, update
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.jobs.lifecycle import FINISH
from app.registry.attempts import Hold
from app.registry.jobs import datasets_of
from app.registry.measured import measured_numbers
from app.registry.tables import Alias, Checkpoint, CheckpointMetric, Job, Tag, utc_now

MOST_ANCESTORS = 1_000
"""Longest line of parents that is followed."""


def add_checkpoint(session: Session, checkpoint: Checkpoint) -> Checkpoint:
    """Register a checkpoint whose bytes are in the storage."""
    session.add(checkpoint)
    session.flush()
    numbers = measured_numbers(checkpoint.metrics)
    session.add_all(
        CheckpointMetric(checkpoint_id=checkpoint.id, name=name, value=value)
        for name, value in numbers.items()
    )
    session.flush()
    return checkpoint


def point_job_at(session: Session, hold: Hold, checkpoint_id: str) -> bool:
    """Make a checkpoint the one that the job resumes from; False when the fence no longer holds the job."""
    held = update(Job).where(Job.id == hold.job_id, Job.fence == hold.fence, Job.state.in_(FINISH.sources))
    return session.execute(held.values(resume_from=checkpoint_id).returning(Job.id)).first() is not None


def find_checkpoint(session: Session, id_or_alias: str) -> Checkpoint:
    """The checkpoint with this id or alias; NotFound where there is none or it was deleted."""
    checkpoint = session.get(Checkpoint, id_or_alias)
    if checkpoint is None:  # asked apart: PostgreSQL reads the whole table for `id = … OR id IN (…)`
        named = select(Checkpoint).join(Alias, Alias.checkpoint_id == Checkpoint.id)
        checkpoint = session.scalars(named.where(Alias.alias == id_or_alias)).one_or_none()
    if checkpoint is None:
        raise NotFound(f"there is no checkpoint {id_or_alias!r}", hint="GET /checkpoints lists them")
    if checkpoint.deleted_at is not None:
        raise NotFound(
            f"the checkpoint {id_or_alias!r} was deleted", hint="GET /checkpoints lists those that are left"
        )
    return checkpoint


def find_twin(session: Session, name: str, sha256: str, key_id: str | None = None) -> Checkpoint | None:
    """The uploaded checkpoint of this name and content, the oldest of several; None where there is none.

    With `key_id` only what that key uploaded: a twin gets the request's tags.
    """
    query = select(Checkpoint).where(
        Checkpoint.sha256 == sha256,
        Checkpoint.name == name,
        Checkpoint.kind == "uploaded",
        Checkpoint.deleted_at.is_(None),
        Checkpoint.key_id == key_id if key_id is not None else true(),
    )
    return session.scalars(query.order_by(Checkpoint.created_at, Checkpoint.id).limit(1)).first()


def ancestors_of(session: Session, checkpoint: Checkpoint, most: int = MOST_ANCESTORS) -> tuple[str, ...]:
    """Ids of the checkpoints that its training started from, the nearest first; deleted ones count too."""
    if checkpoint.parent_id is None:
        return ()
    nearest = select(Checkpoint.id, Checkpoint.parent_id, literal(1).label("distance")).where(
        Checkpoint.id == checkpoint.parent_id
    )
    line = nearest.cte("line", recursive=True)
    further = select(Checkpoint.id, Checkpoint.parent_id, line.c.distance + 1)
    line = line.union_all(further.where(Checkpoint.id == line.c.parent_id, line.c.distance < most))
    # A line that closes in a circle repeats itself until `most`: each is named once.
    return tuple(dict.fromkeys(session.scalars(select(line.c.id).order_by(line.c.distance))))


def files_of(session: Session, ids: Sequence[str]) -> tuple[str, ...]:
    """Hashes of the files of these checkpoints, each once, in no order."""
    return tuple(sorted(set(session.scalars(select(Checkpoint.sha256).where(Checkpoint.id.in_(ids))))))


def checkpoint_datasets(session: Session, rows: Sequence[Checkpoint]) -> dict[str, list[str]]:
    """Ids of the datasets that each checkpoint's job trained on, by checkpoint id; empty for an upload's."""
    by_job = datasets_of(session, {row.job_id for row in rows if row.job_id is not None})
    own = {row.id: [] if row.dataset_id is None else [row.dataset_id] for row in rows}
    return {row.id: by_job.get(row.job_id or "", own[row.id]) for row in rows}


def labels_of(session: Session, ids: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Tags and aliases of these checkpoints, by checkpoint id, each sorted."""
    tags: dict[str, list[str]] = {}
    for tag in session.scalars(select(Tag).where(Tag.checkpoint_id.in_(ids)).order_by(Tag.tag)):
        tags.setdefault(tag.checkpoint_id, []).append(tag.tag)
    aliases: dict[str, list[str]] = {}
    for alias in session.scalars(select(Alias).where(Alias.checkpoint_id.in_(ids)).order_by(Alias.alias)):
        aliases.setdefault(alias.checkpoint_id, []).append(alias.alias)
    return tags, aliases


def owners_of_aliases(session: Session, aliases: Sequence[str]) -> dict[str, str | None]:
    """Ids of the keys that made the checkpoints to which these aliases point; of those that point somewhere."""
    query = select(Alias.alias, Checkpoint.key_id).join(Checkpoint, Checkpoint.id == Alias.checkpoint_id)
    return {row.alias: row.key_id for row in session.execute(query.where(Alias.alias.in_(aliases)))}


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
    """Mark as deleted and free its aliases; True when no other row needs its bytes.

    A job that would have resumed from it falls back to the newest of its checkpoints that is left, or to its start.
    """
    checkpoint.deleted_at = utc_now()
    session.execute(delete(Alias).where(Alias.checkpoint_id == checkpoint.id))
    session.execute(delete(CheckpointMetric).where(CheckpointMetric.checkpoint_id == checkpoint.id))
    session.flush()
    _fall_back(session, checkpoint)
    others = select(Checkpoint.id).where(
        Checkpoint.sha256 == checkpoint.sha256, Checkpoint.deleted_at.is_(None)
    )
    return session.scalars(others.limit(1)).first() is None


def _fall_back(session: Session, checkpoint: Checkpoint) -> None:
    left = select(Checkpoint.id).where(
        Checkpoint.job_id == checkpoint.job_id, Checkpoint.deleted_at.is_(None), Checkpoint.step.is_not(None)
    )
    newest = left.order_by(Checkpoint.step.desc(), Checkpoint.id.desc()).limit(1).scalar_subquery()
    pointed = update(Job).where(Job.id == checkpoint.job_id, Job.resume_from == checkpoint.id)
    session.execute(pointed.values(resume_from=newest))
