"""Folds in the order of time: no training reward reaches what a later span observes."""

import contextlib
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidDataset, InvalidInput
from app.market.bars import Bars
from app.market.splits import HORIZON, Fold, Span, choose_fold, decision_ranges, split_fold, split_folds
from tests.market.making import make_bars, read_googl


def test_first_decision_has_599_bars_and_the_last_a_whole_reward() -> None:
    assert decision_ranges(((0, 2335),)) == ((598, 2333),)
    assert decision_ranges(((0, 2335),), lookback=1) == ((499, 2333),)


def test_ranges_skip_short_segments_and_stay_within_the_span() -> None:
    segments = ((0, 800), (800, 1000), (1000, 2000))
    assert decision_ranges(segments) == ((598, 798), (1598, 1998))
    assert decision_ranges(segments, Span(700, 1700)) == ((700, 798), (1598, 1700))
    assert decision_ranges(segments, Span(800, 1500)) == ()


def test_shipped_file_leaves_usable_spans() -> None:
    fold = split_fold(read_googl())
    assert (fold.train, fold.validation, fold.test) == (Span(598, 1517), Span(1619, 1925), Span(2027, 2333))


def make_folds(bars: Bars, lookback: int, embargo: int, count: int) -> tuple[Fold, ...]:
    """All folds that these bars allow; those refused must be too short."""
    made: list[Fold] = []
    for make in (
        lambda: (split_fold(bars, lookback, embargo=embargo),),
        lambda: split_folds(bars, count, lookback, embargo=embargo),
    ):
        with contextlib.suppress(InvalidDataset):
            made.extend(make())
    return tuple(made)


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1_800, 4_000),
    lookback=st.integers(1, 150),
    embargo=st.integers(100, 300),
    gap=st.integers(1, 1_000),
    folds=st.integers(1, 3),
)
def test_training_rewards_end_before_anything_later_observes(
    count: int, lookback: int, embargo: int, gap: int, folds: int
) -> None:
    bars = make_bars(count, gaps=(gap,))
    made = make_folds(bars, lookback, embargo, folds)
    assert made or count < 2_600
    for fold in made:
        for earlier, later in ((fold.train, fold.validation), (fold.validation, fold.test)):
            last_rewarded = earlier.stop - 1 + HORIZON
            first_observed = later.start - lookback + 1
            assert last_rewarded < first_observed
            assert later.start - earlier.stop >= embargo
            for span in (earlier, later):
                assert decision_ranges(bars.segments, span, lookback)


def test_anchored_folds_grow_from_the_same_start_and_their_test_spans_join() -> None:
    folds = split_folds(make_bars(5_000), 3)
    assert len({fold.train.start for fold in folds}) == 1
    for before, after in itertools.pairwise(folds):
        assert after.train.stop > before.train.stop
        assert after.test.start == before.test.stop
    assert folds[-1].test.stop == 4_998


def test_a_run_is_for_one_fold() -> None:
    bars = make_bars(5_000)
    folds = split_folds(bars, 3)
    assert [choose_fold(bars, 100, 3, k) for k in (1, 2, 3)] == list(folds)
    assert choose_fold(bars, 100, 3) == folds[-1]
    assert choose_fold(bars, 100) == split_fold(bars)


@pytest.mark.parametrize("wrong", [(None, 1), (3, 0), (3, 4), (0, None), (21, None)])
def test_folds_that_there_are_not_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        choose_fold(make_bars(5_000), 100, *wrong)


def test_too_few_bars_for_a_span_are_refused() -> None:
    with pytest.raises(InvalidDataset, match="training span would hold"):
        split_fold(make_bars(702))
    with pytest.raises(InvalidDataset, match="validation span would hold"):
        split_folds(read_googl(), 20)


@pytest.mark.parametrize(
    "wrong",
    [{"fractions": (0.6, 0.2, 0.3)}, {"fractions": (1.0, 0.0, 0.0)}, {"embargo": 99}],
)
def test_impossible_splits_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        split_fold(make_bars(3_000), **wrong)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 1, "first_train": 1.0}])
def test_impossible_folds_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        split_folds(make_bars(3_000), **wrong)
