"""Turns by hand-given seconds."""

import pytest
import torch

from worker.calibrate.turns import Turns


def test_unsteadiness_is_the_mean_turn_over_the_medians() -> None:
    turns = Turns(torch.device("cpu"), seconds={"a": [1.0, 1.0, 4.0], "b": [2.0, 2.0, 2.0]})
    assert turns.unsteadiness() == pytest.approx((2.0 + 2.0) / (1.0 + 2.0))


def test_turns_that_all_took_as_long_are_steady() -> None:
    turns = Turns(torch.device("cpu"), seconds={"a": [3.0, 3.0], "b": [0.5, 0.5]})
    assert turns.unsteadiness() == 1.0
