"""Datasets: add, find by id or name, list, delete."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.registry.tables import Dataset, utc_now


def add_dataset(session: Session, dataset: Dataset) -> Dataset:
    """Register validated bars."""
    session.add(dataset)
    session.flush()
    return dataset


def find_dataset(session: Session, id_or_name: str) -> Dataset:
    """The dataset with this id, or the newest with this name; NotFound where there is none or it was deleted."""
    match = or_(Dataset.id == id_or_name, Dataset.name == id_or_name)
    query = select(Dataset).where(match).order_by(Dataset.deleted_at.is_not(None), Dataset.id.desc()).limit(1)
    dataset = session.scalars(query).one_or_none()
    if dataset is None:
        raise NotFound(
            f"there is no dataset {id_or_name!r}", hint="GET /datasets lists them", pointer="dataset"
        )
    if dataset.deleted_at is not None:
        raise NotFound(f"the dataset {id_or_name!r} was deleted", hint="upload it again", pointer="dataset")
    return dataset


def get_dataset(session: Session, dataset_id: str) -> Dataset:
    """The dataset with this id, deleted or not: its bytes stay for the jobs that use it."""
    dataset = session.get(Dataset, dataset_id)
    if dataset is None:
        raise NotFound(f"there is no dataset {dataset_id!r}", hint="GET /datasets lists them")
    return dataset


def keep_chart(session: Session, dataset_id: str, chart: str) -> None:
    """Store the chart of a dataset that has none yet."""
    get_dataset(session, dataset_id).chart_svg = chart


def find_twin(session: Session, name: str, sha256: str, key_id: str | None = None) -> Dataset | None:
    """A dataset of the same name with the same bars, so that a repeated upload makes no second row.

    With `key_id` only what that key uploaded.
    """
    same = select(Dataset).where(Dataset.name == name, Dataset.sha256 == sha256, Dataset.deleted_at.is_(None))
    same = same.where(Dataset.key_id == key_id) if key_id is not None else same
    return session.scalars(same.limit(1)).one_or_none()


def list_datasets(session: Session, *, limit: int, before: str | None = None) -> Sequence[Dataset]:
    """Newest first, at most `limit`, older than the id `before`."""
    query = select(Dataset).where(Dataset.deleted_at.is_(None)).order_by(Dataset.id.desc()).limit(limit)
    return session.scalars(query.where(Dataset.id < before) if before else query).all()


def delete_dataset(session: Session, id_or_name: str) -> Dataset:
    """Mark as deleted; jobs that used it keep their row."""
    dataset = find_dataset(session, id_or_name)
    dataset.deleted_at = utc_now()
    return dataset
