"""Put a job's report together: its evaluations, what was tried since, and the folds of its group."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from app.errors import Conflict, NotFound
from app.jobs.lifecycle import ENDED, State
from app.market.curves import Curve
from app.market.evaluation import Evaluation
from app.market.job_report import AssetReport, JobReport
from app.market.returns import SpanReturns
from app.market.significance import deflate
from app.market.walk_forward import JoinedFolds, WalkForward, describe_fold, join_folds
from app.registry.database import Database, Session
from app.registry.datasets import get_dataset
from app.registry.evaluations import find_opening, group_evaluations, list_evaluations, trials_until_now
from app.registry.jobs import get_job
from app.registry.tables import Job, JobEvaluation
from app.storage import Storage

_CURVES = TypeAdapter(tuple[Curve, ...])


def show_evaluation(database: Database, storage: Storage, job_id: str) -> JobReport:
    """The report of a job. Raises NotFound without the job, Conflict while it has no evaluation."""
    with database.read() as session:
        job = get_job(session, job_id)
        rows = list_evaluations(session, job.id)
        if not rows:
            raise refuse_report(job)
        assets = tuple(_describe(session, storage, job, row) for row in rows)
    return JobReport(job_id=job.id, job_name=job.name, assets=assets)


def find_chart(database: Database, storage: Storage, job_id: str, dataset: str | None) -> str:
    """The hash of the chart of a job's dataset, by id or name; of its first where none is named.

    Raises NotFound without the job, the dataset or the chart, Conflict while there is no evaluation.
    """
    with database.read() as session:
        job = get_job(session, job_id)
        rows = list_evaluations(session, job.id)
        if not rows:
            raise refuse_report(job)
        names = {row.dataset_id: get_dataset(session, row.dataset_id).name for row in rows}
    wanted = [row for row in rows if dataset in (None, row.dataset_id, names[row.dataset_id])]
    if not wanted:
        hint = f"it was judged on {', '.join(names.values())}"
        raise NotFound(f"job {job.id} was not judged on {dataset!r}", hint=hint, pointer="dataset")
    if wanted[0].chart_sha256 is None:
        raise NotFound(f"the chart of job {job.id} is not drawn yet", hint="ask again shortly")
    storage.find(wanted[0].chart_sha256)  # raises NotFound where the bytes are gone
    return wanted[0].chart_sha256


def refuse_report(job: Job) -> Conflict | NotFound:
    """Why a job has no evaluation."""
    state = State(job.state)
    if state == State.SUCCEEDED:
        hint = "train it again: POST /jobs with its spec"
        return NotFound(f"job {job.id} ended before evaluations were kept", hint=hint)
    if state in ENDED:
        hint = "POST /jobs/{id}/resume goes on from its last checkpoint"
        return Conflict(f"job {job.id} is {state}: it was not evaluated", hint=hint, state=state)
    hint = "the policy is evaluated at the end of its training; GET /jobs/{id}/events tells when"
    return Conflict(f"job {job.id} is {state}: it is not evaluated yet", hint=hint, state=state)


def _describe(session: Session, storage: Storage, job: Job, row: JobEvaluation) -> AssetReport:
    dataset = get_dataset(session, row.dataset_id)
    evaluation = Evaluation.from_plain(row.document)
    opening = find_opening(session, job.id, row.dataset_id)
    assert opening is not None  # an evaluation is only ever made of an opened span
    trials = trials_until_now(session, opening)
    return AssetReport(
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        dataset_sha256=opening.dataset_sha256,
        evaluated_at=row.created_at,
        opening=row.opening,
        openings=trials.count,
        deflation=deflate(evaluation.moments, trials, _bars_per_year(evaluation)),
        evaluation=evaluation,
        curves=_CURVES.validate_python(row.curves),
        walk_forward=_describe_group(session, storage, job, row.dataset_id),
    )


def _describe_group(session: Session, storage: Storage, job: Job, dataset_id: str) -> WalkForward | None:
    if job.walk_forward is None:
        return None
    rows = group_evaluations(session, job.walk_forward, dataset_id)
    evaluations = {fold: Evaluation.from_plain(row.document) for fold, row in sorted(rows.items())}
    folds = int(job.spec["folds"])
    missing = tuple(number for number in range(1, folds + 1) if number not in rows)
    return WalkForward(
        group=job.walk_forward,
        folds=folds,
        finished=tuple(describe_fold(fold, rows[fold].job_id, each) for fold, each in evaluations.items()),
        missing=missing,
        joined=None if missing else _join(storage, rows, evaluations),
    )


def _join(
    storage: Storage, rows: Mapping[int, JobEvaluation], evaluations: Mapping[int, Evaluation]
) -> JoinedFolds:
    parts = [_load_returns(storage, rows[fold].returns_sha256) for fold in evaluations]
    return join_folds(parts, _bars_per_year(next(iter(evaluations.values()))))


def _load_returns(storage: Storage, sha256: str) -> SpanReturns:
    with storage.local_copy(sha256) as path:
        return SpanReturns.load(path)


def _bars_per_year(evaluation: Evaluation) -> float:
    performance: Any = evaluation.spans[-1].policy
    return float(performance.periods / performance.years)
