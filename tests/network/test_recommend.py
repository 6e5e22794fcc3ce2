import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidConfig, InvalidInput
from app.network.recommend import LADDER, MOST_PARAMETERS_PER_ROW, recommend
from app.network.use_cases import USE_CASES


@pytest.mark.parametrize("use_case", USE_CASES)
def test_with_much_data_the_use_case_decides(use_case: str) -> None:
    answer = recommend(use_case, 10**9, 5300)
    assert answer.chosen.hidden_dims == USE_CASES[use_case].hidden_dims
    assert answer.warnings == ()


def test_bigger_is_not_better_on_little_data() -> None:
    """A year of hourly bars: 8,760 rows; even the smallest network has 161 parameters for each."""
    answer = recommend("complex", 8_760, 5300)
    assert answer.chosen.hidden_dims == (256, 128, 64)
    assert answer.chosen.samples_per_parameter == pytest.approx(8_760 / 1_406_788)
    assert "bigger is not better" in answer.warnings[0]
    assert "1,406,788 parameters against 8,760 rows" in answer.warnings[1]


def test_the_choice_steps_down_only_as_far_as_needed() -> None:
    assert recommend("complex", 100_000, 5300).chosen.hidden_dims == (1024, 512, 256)
    assert recommend("complex", 140_000, 5300).chosen.hidden_dims == (2048, 1024, 512, 256)


def test_each_candidate_says_why() -> None:
    reasons = {
        candidate.hidden_dims: candidate.reason
        for candidate in recommend("production", 50_000, 5300).candidates
    }
    assert list(reasons) == list(LADDER)
    assert "by heart" in reasons[2048, 1024, 512, 256]
    assert "by heart" in reasons[1024, 512, 256]
    assert "the largest that keeps to" in reasons[512, 256, 128]
    assert "baseline" in reasons[256, 128, 64]


@given(st.sampled_from(list(USE_CASES)), st.integers(1, 10**9), st.integers(1, 10_000))
def test_never_larger_than_the_use_case_or_the_data_allow(use_case: str, rows: int, obs_dim: int) -> None:
    answer = recommend(use_case, rows, obs_dim)
    assert answer.chosen in answer.candidates
    assert LADDER.index(answer.chosen.hidden_dims) >= LADDER.index(USE_CASES[use_case].hidden_dims)
    within = answer.chosen.parameters <= MOST_PARAMETERS_PER_ROW * rows
    assert within or answer.chosen.hidden_dims == LADDER[-1]
    json.dumps(asdict(answer))


@pytest.mark.parametrize("rows", [0, -1, 2.5, True])
def test_no_rows_no_recommendation(rows: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        recommend("quick", rows, 5300)
    assert caught.value.pointer == "rows"


def test_an_unknown_use_case_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidConfig, match="'toy'") as caught:
        recommend("toy", 1000, 5300)
    assert "limited_data" in caught.value.hint
