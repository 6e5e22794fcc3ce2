"""Which stored files the registry names."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.registry.tables import Checkpoint, Dataset, JobEvaluation

BATCH = 500
"""Hashes that are asked for at once."""


def named_files(session: Session, hashes: Collection[str]) -> set[str]:
    """Those of the hashes that a checkpoint, a dataset or an evaluation names.

    A deleted dataset's file counts, for its jobs go on; a deleted checkpoint's does not.
    """
    found: set[str] = set()
    asked = sorted(hashes)
    for start in range(0, len(asked), BATCH):
        found |= _named(session, asked[start : start + BATCH])
    return found


def _named(session: Session, hashes: Sequence[str]) -> set[str]:
    queries = (
        select(Checkpoint.sha256).where(Checkpoint.sha256.in_(hashes), Checkpoint.deleted_at.is_(None)),
        select(Dataset.file_sha256).where(Dataset.file_sha256.in_(hashes)),
        select(JobEvaluation.returns_sha256).where(JobEvaluation.returns_sha256.in_(hashes)),
        select(JobEvaluation.chart_sha256).where(JobEvaluation.chart_sha256.in_(hashes)),
    )
    return {sha256 for query in queries for sha256 in session.scalars(query) if sha256 is not None}
