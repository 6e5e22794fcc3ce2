"""Every loss against a scalar implementation in plain Python floats, written from the papers."""

import math
import statistics
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.ppo.loss import (
    approx_kl,
    clip_fraction,
    clipped_surrogate,
    explained_variance,
    normalise_advantages,
    value_loss,
)

Rows = list[tuple[float, float, float]]
number = st.floats(-3, 3)
pairs = st.lists(st.tuples(number, number, number), min_size=1, max_size=20)


def columns(rows: Rows) -> list[torch.Tensor]:
    return [torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True)]


def scalar_surrogate(rows: Rows, clip: float) -> float:
    total = 0.0
    for log_ratio, advantage, _ in rows:
        ratio = math.exp(log_ratio)
        total += min(ratio * advantage, min(max(ratio, 1 - clip), 1 + clip) * advantage)
    return -total / len(rows)


def scalar_value_loss(rows: Rows, clip: float | None) -> float:
    total = 0.0
    for value, target, old in rows:
        loss = (value - target) ** 2
        if clip is not None:
            held = old + min(max(value - old, -clip), clip)
            loss = max(loss, (held - target) ** 2)
        total += loss / 2
    return total / len(rows)


@given(pairs, st.floats(0.01, 0.9))
def test_clipped_surrogate_is_the_papers(rows: Rows, clip: Any) -> None:
    log_ratio, advantage, _ = columns(rows)
    assert math.isclose(
        clipped_surrogate(log_ratio, advantage, clip).item(), scalar_surrogate(rows, clip), abs_tol=1e-9
    )


@given(pairs, st.one_of(st.none(), st.floats(0.01, 0.9)))
def test_value_loss_is_the_papers(rows: Rows, clip: Any) -> None:
    value, target, old = columns(rows)
    assert math.isclose(
        value_loss(value, target, old, clip).item(), scalar_value_loss(rows, clip), abs_tol=1e-9
    )


@given(pairs, st.floats(0.01, 0.9))
def test_debug_variables_are_the_fields(rows: Rows, clip: Any) -> None:
    log_ratio = columns(rows)[0]
    ratios = [math.exp(row[0]) for row in rows]
    kl = sum(r - 1 - math.log(r) for r in ratios) / len(ratios)
    clipped = sum(abs(r - 1) > clip for r in ratios) / len(ratios)
    assert math.isclose(approx_kl(log_ratio).item(), kl, abs_tol=1e-9)
    # A ratio within rounding of the border may fall on either side.
    near = sum(abs(abs(r - 1) - clip) < 1e-12 for r in ratios) / len(ratios)
    assert abs(clip_fraction(log_ratio, clip).item() - clipped) <= near + 1e-12
    assert approx_kl(log_ratio).item() >= -1e-12


def test_surrogate_by_hand() -> None:
    # ratio 1.5, clip 0.2: a good action counts 1.2, a bad one in full.
    log_ratio = torch.tensor([math.log(1.5)])
    assert clipped_surrogate(log_ratio, torch.tensor([2.0]), 0.2).item() == pytest.approx(-2.4)
    assert clipped_surrogate(log_ratio, torch.tensor([-2.0]), 0.2).item() == pytest.approx(3.0)


def test_surrogate_has_no_gradient_where_clipping_already_holds() -> None:
    log_ratio = torch.tensor([math.log(1.5), math.log(1.1)], requires_grad=True)
    clipped_surrogate(log_ratio, torch.ones(2), 0.2).backward()
    assert log_ratio.grad.tolist() == pytest.approx([0.0, -1.1 / 2])


def test_value_loss_by_hand() -> None:
    # V moved from 0 to 1, R is 2: clipped by 0.2 the error is 1.8, the larger one.
    value, target, old = torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([0.0])
    assert value_loss(value, target, old).item() == pytest.approx(0.5)
    assert value_loss(value, target, old, 0.2).item() == pytest.approx(0.5 * 1.8**2)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=20).filter(lambda v: len(set(v)) > 1))
def test_normalised_advantages_have_mean_0_and_deviation_1(values: list[int]) -> None:
    normalised = normalise_advantages(torch.tensor(values, dtype=torch.float64))
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    expected = [(value - mean) / (deviation + 1e-8) for value in values]
    assert normalised.tolist() == pytest.approx(expected)


def test_a_single_advantage_is_left_alone() -> None:
    assert normalise_advantages(torch.tensor([3.0])).tolist() == [3.0]


def test_equal_advantages_become_zero() -> None:
    assert normalise_advantages(torch.full((4,), 3.0)).tolist() == [0.0] * 4


def test_explained_variance_by_hand() -> None:
    said = [explained_variance(torch.tensor(left), torch.tensor(1.25)).item() for left in (0.0, 1.25, 5.0)]
    assert said == [1.0, 0.0, -3.0]
    assert math.isnan(explained_variance(torch.tensor(1.25), torch.tensor(0.0)).item())
