"""Openings are counted once a run, trials are those of the same bars, and a lost hold writes nothing."""

from dataclasses import replace

import numpy as np
import pytest
from factories import make_dataset, make_job

from app.market.curves import thin_curve
from app.market.significance import Trials
from app.market.splits import Span
from app.registry.attempts import Hold, claim_job, interrupt_job
from app.registry.database import Database
from app.registry.datasets import add_dataset
from app.registry.evaluations import (
    add_evaluation,
    figures_of,
    find_opening,
    group_evaluated,
    group_evaluations,
    group_jobs,
    is_evaluated,
    list_evaluations,
    open_test_span,
    set_chart,
    trials_until_now,
)
from app.registry.jobs import add_job
from app.registry.tables import Dataset
from tests.market.evaluating import make_evaluation

SPAN = Span(1_000, 1_300)
CURVE = thin_curve("test", np.arange(3, dtype=np.int64), {"policy": np.zeros(3)})


@pytest.fixture
def dataset(database: Database) -> Dataset:
    with database.write() as session:
        return add_dataset(session, make_dataset())


def begin(database: Database, dataset: Dataset, **values: object) -> Hold:
    with database.write() as session:
        job = add_job(session, make_job(dataset, **values), [dataset.id])
    with database.write() as session:
        claim = claim_job(session, job.id, "worker", 60)
    assert claim is not None
    return claim.hold


def open_span(database: Database, hold: Hold, dataset: Dataset, span: Span = SPAN) -> Trials:
    with database.write() as session:
        trials = open_test_span(session, hold, dataset.id, dataset.sha256, span)
    assert trials is not None
    return trials


def record(database: Database, hold: Hold, dataset: Dataset, sharpe: float | None = 0.05) -> None:
    evaluation = make_evaluation()
    assert evaluation.moments is not None
    moments = None if sharpe is None else replace(evaluation.moments, sharpe=sharpe)
    with database.write() as session:
        assert add_evaluation(
            session,
            hold,
            dataset.id,
            place=0,
            evaluation=replace(evaluation, moments=moments),
            curves=[CURVE],
            returns_sha256="d" * 64,
        )


def test_two_jobs_open_the_same_span_and_one_job_opens_it_once(database: Database, dataset: Dataset) -> None:
    first, second = begin(database, dataset), begin(database, dataset)
    assert open_span(database, first, dataset) == Trials(1)
    record(database, first, dataset, 0.07)
    assert open_span(database, second, dataset) == Trials(2, (0.07,))
    record(database, second, dataset, None)
    assert open_span(database, first, dataset) == Trials(1)  # a repeated attempt: no further look
    with database.read() as session:
        opening = find_opening(session, first.job_id, dataset.id)
        assert opening is not None
        assert trials_until_now(session, opening) == Trials(2, (0.0,))


def test_a_span_counts_where_it_shares_a_bar(database: Database, dataset: Dataset) -> None:
    holds = [begin(database, dataset) for _ in range(4)]
    spans = [SPAN, Span(1_299, 1_400), Span(1_300, 1_400), Span(0, 5_000)]
    counts = [open_span(database, hold, dataset, span).count for hold, span in zip(holds, spans, strict=True)]
    assert counts == [1, 2, 2, 4]


def test_other_bars_are_other_trials_and_the_same_bars_by_another_name_are_not(
    database: Database, dataset: Dataset
) -> None:
    with database.write() as session:
        twin = add_dataset(session, make_dataset(name="twin"))
        other = add_dataset(session, make_dataset(name="other", sha256="e" * 64))
    assert open_span(database, begin(database, dataset), dataset).count == 1
    assert open_span(database, begin(database, twin), twin).count == 2
    assert open_span(database, begin(database, other), other).count == 1


def test_a_lost_hold_opens_and_records_nothing(database: Database, dataset: Dataset) -> None:
    hold = begin(database, dataset)
    with database.write() as session:
        interrupt_job(session, hold, "given away")
    with database.write() as session:
        assert open_test_span(session, hold, dataset.id, dataset.sha256, SPAN) is None
        assert not add_evaluation(
            session,
            hold,
            dataset.id,
            place=0,
            evaluation=make_evaluation(),
            curves=[],
            returns_sha256="d" * 64,
        )
    with database.read() as session:
        assert find_opening(session, hold.job_id, dataset.id) is None
        assert list_evaluations(session, hold.job_id) == []


def test_an_evaluation_comes_back_whole_with_its_figures_as_columns(
    database: Database, dataset: Dataset
) -> None:
    hold = begin(database, dataset)
    open_span(database, hold, dataset)
    for _ in range(2):  # a second attempt replaces the first one's
        record(database, hold, dataset)
    expected = make_evaluation()
    with database.read() as session:
        (row,) = list_evaluations(session, hold.job_id)
        assert is_evaluated(session, hold.job_id)
        found = type(expected).from_plain(row.document)
        assert replace(found, moments=expected.moments) == expected
        assert row.curves[0]["name"] == "test"
        assert (row.opening, row.beats_holding, row.looks_overfitted) == (1, None, False)
        figures = {each.span: each for each in figures_of(session, hold.job_id)}
    assert set(figures) == {"train", "validation", "test"}
    test, policy = figures["test"], expected.spans[-1].policy
    for name in (
        "total_return",
        "sharpe",
        "sortino",
        "max_drawdown",
        "calmar",
        "turnover",
        "trades",
        "hit_rate",
    ):
        assert getattr(test, name) == getattr(policy, name), name
    assert (test.excess_low, test.excess_high) == (-0.1, 0.14)
    assert test.sharpe_per_bar == 0.05
    assert test.first_bar.isoformat() == "2020-01-02T00:00:00+00:00"
    assert figures["train"].sharpe_per_bar is None


def test_a_chart_is_put_in_another_s_place(database: Database, dataset: Dataset) -> None:
    hold = begin(database, dataset)
    record(database, hold, dataset)
    with database.write() as session:
        assert set_chart(session, hold.job_id, dataset.id, "a" * 64) is None
    with database.write() as session:
        assert set_chart(session, hold.job_id, dataset.id, "b" * 64) == "a" * 64
        assert set_chart(session, hold.job_id, dataset.id, "b" * 64) is None


def test_a_group_s_folds_are_found_by_number_the_newest_run_of_each(
    database: Database, dataset: Dataset
) -> None:
    specs = [{"folds": 3, "fold": 1}, {"folds": 3, "fold": None}, {"folds": 3, "fold": 1}]
    holds = [
        begin(database, dataset, id=f"job_{k}", walk_forward="wf", spec=spec) for k, spec in enumerate(specs)
    ]
    begin(database, dataset, walk_forward="other", spec=specs[0])
    for hold in holds:
        record(database, hold, dataset)
    with database.read() as session:
        rows = group_evaluations(session, "wf", dataset.id)
        assert {fold: row.job_id for fold, row in rows.items()} == {1: "job_2", 3: "job_1"}
        assert list(group_evaluated(session, "wf")) == ["job_0", "job_1", "job_2"]
        assert len(group_jobs(session, "wf")) == 3
