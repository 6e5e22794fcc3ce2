"""Splits with dates are the splits that jobs get."""

import pytest

from app.errors import InvalidDataset
from app.market.split_report import report_splits
from app.market.splits import decision_ranges, split_fold, split_folds
from tests.market.making import make_bars


def test_one_split_has_the_rows_and_dates_of_the_job_s() -> None:
    bars = make_bars(1_300)
    report = report_splits(bars, 100)
    fold = split_fold(bars, 100)
    assert [(span.name, span.start, span.stop) for span in report.folds[0].spans] == [
        (name, span.start, span.stop) for name, span in fold.spans().items()
    ]
    assert report.decisions == sum(stop - start for start, stop in decision_ranges(bars.segments))
    assert report.decisions == 1_300 - 598 - 2
    train = report.folds[0].spans[0]
    assert train.decisions == train.stop - train.start
    assert train.first_bar < train.last_bar < report.folds[0].spans[1].first_bar


def test_folds_are_numbered_and_grow() -> None:
    bars = make_bars(2_000)
    report = report_splits(bars, 20, 3)
    assert [fold.number for fold in report.folds] == [1, 2, 3]
    made = split_folds(bars, 3, 20)
    assert [fold.spans[0].stop for fold in report.folds] == [fold.train.stop for fold in made]
    assert len({fold.spans[0].start for fold in report.folds}) == 1


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(InvalidDataset):
        report_splits(make_bars(650))
