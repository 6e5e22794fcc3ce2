"""Evaluations: test spans that were opened, figures by span, documents, walk-forward groups."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.market.curves import Curve
from app.market.evaluation import Evaluation, SpanResult
from app.market.significance import Trials
from app.market.splits import Span
from app.registry.attempts import Hold, holds_job
from app.registry.events import record_event
from app.registry.tables import Dataset, Job, JobEvaluation, Opening, SpanFigures

TEST = "test"
"""The span whose openings are counted."""


def open_test_span(
    session: Session, hold: Hold, dataset_id: str, dataset_sha256: str, span: Span
) -> Trials | None:
    """Note that a run is about to look at a test span; None when the hold is lost.

    A run opens a span once, however often its attempts repeat. Counted are all runs whose test spans share
    a bar with this one: another lookback moves a span by a row, and it is the same data still.
    """
    if not holds_job(session, hold):
        return None
    # Two runs that open the same bars at once take turns: no two get the same number.
    same = select(Dataset.id).where(Dataset.sha256 == dataset_sha256).order_by(Dataset.id)
    session.execute(same.with_for_update()).all()
    mine = find_opening(session, hold.job_id, dataset_id)
    if mine is None:
        mine = Opening(
            job_id=hold.job_id,
            dataset_id=dataset_id,
            dataset_sha256=dataset_sha256,
            first_row=span.start,
            stop_row=span.stop,
        )
        session.add(mine)
        session.flush()
        record_event(session, hold.job_id, "log", {"message": "test span opened", "dataset": dataset_id})
    return Trials(_count(session, mine, until=mine.id), earlier_sharpes(session, mine, until=mine.id))


def find_opening(session: Session, job_id: str, dataset_id: str) -> Opening | None:
    """The run's look at the test span of a dataset; None before it."""
    query = select(Opening).where(Opening.job_id == job_id, Opening.dataset_id == dataset_id)
    return session.scalars(query).one_or_none()


def trials_until_now(session: Session, opening: Opening) -> Trials:
    """All runs that have opened bars of this span by now."""
    return Trials(_count(session, opening), earlier_sharpes(session, opening))


def earlier_sharpes(session: Session, opening: Opening, until: int | None = None) -> tuple[float, ...]:
    """Sharpe ratios per bar of the other runs on this test span; 0 where nothing moved."""
    figures = (
        select(SpanFigures.sharpe_per_bar)
        .join(
            Opening, (Opening.job_id == SpanFigures.job_id) & (Opening.dataset_id == SpanFigures.dataset_id)
        )
        .where(SpanFigures.span == TEST, Opening.id != opening.id, *_overlapping(opening, until))
    )
    return tuple(0.0 if value is None else float(value) for value in session.scalars(figures))


def add_evaluation(  # noqa: PLR0913 - an evaluation's parts
    session: Session,
    hold: Hold,
    dataset_id: str,
    *,
    place: int,
    evaluation: Evaluation,
    curves: Sequence[Curve],
    returns_sha256: str,
) -> bool:
    """Record how a job's policy was judged on a dataset, in place of an earlier attempt's; False when the hold is lost."""
    if not holds_job(session, hold):
        return False
    for table in (SpanFigures, JobEvaluation):
        session.execute(delete(table).where(table.job_id == hold.job_id, table.dataset_id == dataset_id))
    deflation = evaluation.deflation
    row = JobEvaluation(
        job_id=hold.job_id,
        dataset_id=dataset_id,
        place=place,
        opening=deflation.trials if deflation else 0,
        deflated_sharpe=deflation.deflated_sharpe if deflation else None,
        beats_holding=evaluation.spans[-1].beats_holding,
        looks_overfitted=evaluation.looks_overfitted,
        document=evaluation.plain(),
        curves=[asdict(curve) for curve in curves],
        returns_sha256=returns_sha256,
    )
    session.add(row)
    session.flush()
    moments = evaluation.moments
    per_bar = {evaluation.spans[-1].name: moments.sharpe if moments else None}
    session.add_all(_figures(row, span, per_bar.get(span.name)) for span in evaluation.spans)
    session.flush()
    return True


def set_chart(session: Session, job_id: str, dataset_id: str, sha256: str) -> str | None:
    """Point an evaluation at a newly drawn chart; the hash of the one before, where there was another."""
    row = session.get(JobEvaluation, (job_id, dataset_id))
    before = None if row is None else row.chart_sha256
    drawn = update(JobEvaluation).where(
        JobEvaluation.job_id == job_id, JobEvaluation.dataset_id == dataset_id
    )
    session.execute(drawn.values(chart_sha256=sha256))
    return before if before != sha256 else None


def list_evaluations(session: Session, job_id: str) -> Sequence[JobEvaluation]:
    """A job's evaluations in the order of its datasets; empty before its end."""
    query = select(JobEvaluation).where(JobEvaluation.job_id == job_id).order_by(JobEvaluation.place)
    return session.scalars(query).all()


def is_evaluated(session: Session, job_id: str) -> bool:
    """Whether the job has an evaluation."""
    query = select(JobEvaluation.job_id).where(JobEvaluation.job_id == job_id).limit(1)
    return session.execute(query).first() is not None


def figures_of(session: Session, job_id: str) -> Sequence[SpanFigures]:
    """The figures of a job's evaluations."""
    return session.scalars(select(SpanFigures).where(SpanFigures.job_id == job_id)).all()


def group_jobs(session: Session, group: str) -> Sequence[Job]:
    """The jobs of a walk-forward group, the oldest first."""
    return session.scalars(select(Job).where(Job.walk_forward == group).order_by(Job.id)).all()


def group_evaluations(session: Session, group: str, dataset_id: str) -> Mapping[int, JobEvaluation]:
    """Fold number -> its evaluation on a dataset; the newest job's where a fold was trained twice."""
    query = (
        select(Job, JobEvaluation)
        .join(JobEvaluation, JobEvaluation.job_id == Job.id)
        .where(Job.walk_forward == group, JobEvaluation.dataset_id == dataset_id)
        .order_by(Job.id)
    )
    return {fold_of(job.spec): row for job, row in session.execute(query)}


def group_evaluated(session: Session, group: str) -> Sequence[str]:
    """Ids of the group's jobs that are evaluated, the oldest first."""
    evaluated = select(JobEvaluation.job_id)
    query = select(Job.id).where(Job.walk_forward == group, Job.id.in_(evaluated)).order_by(Job.id)
    return session.scalars(query).all()


def fold_of(spec: Mapping[str, Any]) -> int:
    """The number of the fold that a job trains: the last one where its spec names none."""
    return int(spec.get("fold") or spec.get("folds") or 1)


def _count(session: Session, opening: Opening, until: int | None = None) -> int:
    counted = select(func.count()).select_from(Opening).where(*_overlapping(opening, until))
    return int(session.scalars(counted).one())


def _overlapping(opening: Opening, until: int | None) -> list[Any]:
    """Conditions of the openings of the same bars that share a row with this one's span."""
    shared = [
        Opening.dataset_sha256 == opening.dataset_sha256,
        Opening.first_row < opening.stop_row,
        Opening.stop_row > opening.first_row,
    ]
    return shared if until is None else [*shared, Opening.id <= until]


def _figures(row: JobEvaluation, span: SpanResult, sharpe_per_bar: float | None) -> SpanFigures:
    policy = {name: value for name, value in asdict(span.policy).items() if name != "years"}
    return SpanFigures(
        job_id=row.job_id,
        dataset_id=row.dataset_id,
        span=span.name,
        first_bar=datetime.fromisoformat(span.first_bar),
        last_bar=datetime.fromisoformat(span.last_bar),
        sharpe_low=span.sharpe_interval.low if span.sharpe_interval else None,
        sharpe_high=span.sharpe_interval.high if span.sharpe_interval else None,
        sharpe_per_bar=sharpe_per_bar,
        excess_per_year=span.excess_per_year,
        excess_low=span.excess_interval.low,
        excess_high=span.excess_interval.high,
        **policy,
    )
