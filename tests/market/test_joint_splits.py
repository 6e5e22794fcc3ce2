"""Several assets are split at shared dates, and nothing that one earns in training lies in another's later view."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from app.errors import InvalidDataset, InvalidInput
from app.market.bars import Bars
from app.market.joint_splits import choose_joint_fold
from app.market.splits import HORIZON, Fold, choose_fold, decision_ranges
from tests.market.making import make_bars

LOOKBACK = 20
HOUR_US = 3_600_000_000


def later(bars: Bars, hours: int) -> Bars:
    return replace(bars, utc_us=bars.utc_us + hours * HOUR_US)


LONG = make_bars(4_000, seed=1, gaps=(1_700,))
SHORT = later(make_bars(3_200, seed=2), 600)
SPARSE = replace(
    make_bars(2_400, seed=3), utc_us=make_bars(2_400).utc_us + np.arange(2_400) // 5 * 2 * HOUR_US
)


def spans_of(bars: Bars, fold: Fold) -> dict[str, np.ndarray]:
    """The allowed decisions of each span."""
    return {
        name: np.concatenate([np.arange(*rows) for rows in decision_ranges(bars.segments, span, LOOKBACK)])
        for name, span in fold.spans().items()
    }


def check_causal(assets: dict[str, Bars], folds: dict[str, Fold]) -> None:
    """By brute force: what any asset earns in an earlier span ends before what any sees in a later one."""
    rows = {name: spans_of(bars, folds[name]) for name, bars in assets.items()}
    for earlier, following in (("train", "validation"), ("validation", "test")):
        earned = max(assets[name].utc_us[rows[name][earlier] + HORIZON].max() for name in assets)
        seen = min(assets[name].utc_us[rows[name][following] - LOOKBACK + 1].min() for name in assets)
        assert earned < seen
        for name in assets:
            assert rows[name][following].min() - rows[name][earlier].max() > max(LOOKBACK + HORIZON, 100)


def test_spans_of_all_assets_begin_at_one_date() -> None:
    assets = {"long": LONG, "short": SHORT}
    folds = choose_joint_fold(assets, LOOKBACK)
    check_causal(assets, folds)
    for span in ("validation", "test"):
        starts = {int(assets[name].utc_us[getattr(fold, span).start]) for name, fold in folds.items()}
        assert len(starts) == 1  # both have a bar in every hour there
    sizes = [
        sum(len(spans_of(assets[n], folds[n])[s]) for n in assets) for s in ("train", "validation", "test")
    ]
    assert sizes[0] / sum(sizes) == pytest.approx(0.6, abs=0.05)
    assert folds["long"].test.stop == len(LONG) - HORIZON


def test_own_rows_would_not_be_causal() -> None:
    """Why dates: split by their own rows, one asset is trained on months that another is tested on."""
    assets = {"long": LONG, "short": later(SHORT, 1_500)}
    own = {name: choose_fold(bars, LOOKBACK) for name, bars in assets.items()}
    with pytest.raises(AssertionError):
        check_causal(assets, own)


def test_a_single_asset_is_split_as_ever() -> None:
    assert choose_joint_fold({"only": LONG}, LOOKBACK) == {"only": choose_fold(LONG, LOOKBACK)}
    assert choose_joint_fold({"only": LONG}, LOOKBACK, 3, 2) == {"only": choose_fold(LONG, LOOKBACK, 3, 2)}


@settings(max_examples=25)
@given(
    shift=st.integers(-200, 300),
    lengths=st.tuples(st.integers(3_000, 4_500), st.integers(3_000, 4_500)),
    fold=st.sampled_from([(None, None), (3, 1), (3, 2), (3, None), (2, 2)]),
    seed=st.integers(0, 50),
)
def test_any_overlap_is_split_without_leaking(
    shift: int, lengths: tuple[int, int], fold: tuple[int | None, int | None], seed: int
) -> None:
    gap = (700 + 13 * seed,)
    assets = {
        "a": make_bars(lengths[0], seed=seed, gaps=gap),
        "b": later(make_bars(lengths[1], seed=seed + 1), shift),
        "sparse": SPARSE,
    }
    try:
        folds = choose_joint_fold(assets, LOOKBACK, *fold)
    except InvalidDataset:
        reject()  # too little is left of one of them
    check_causal(assets, folds)


def test_test_spans_of_the_folds_lie_side_by_side() -> None:
    assets = {"long": LONG, "short": SHORT}
    tests = [choose_joint_fold(assets, LOOKBACK, 3, number)["long"].test for number in (1, 2, 3)]
    assert tests[0].stop <= tests[1].start <= tests[1].stop <= tests[2].start
    assert tests[2].stop == len(LONG) - HORIZON


@pytest.mark.parametrize("hours", [2_500, -2_900, 50_000])
def test_assets_whose_times_do_not_overlap_are_refused_with_their_dates(hours: int) -> None:
    with pytest.raises(InvalidDataset) as caught:
        choose_joint_fold({"long": LONG, "other": later(SHORT, hours)}, LOOKBACK)
    words = r"(long|other): its (training|validation|test) span would hold 0 decisions, .* from 20\d\d-\d\d-\d\d to "
    assert re.search(words, caught.value.detail)
    assert "share the dates" in caught.value.detail


def test_assets_without_any_decision_and_folds_that_cannot_be_are_refused() -> None:
    tiny = make_bars(300, seed=1)
    with pytest.raises(InvalidDataset, match="none of a, b"):
        choose_joint_fold({"a": tiny, "b": tiny}, LOOKBACK)
    for folds, fold in ((None, 1), (3, 4), (3, 0), (0, None), (21, None)):
        with pytest.raises(InvalidInput):
            choose_joint_fold({"long": LONG, "short": SHORT}, LOOKBACK, folds, fold)
