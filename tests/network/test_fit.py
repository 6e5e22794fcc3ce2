from typing import Any

import pytest

from app.errors import DoesNotFit
from app.network.config import PPOConfig
from app.network.fit import check_fits, largest_minibatch, nearest_fitting
from app.network.run_memory import RunPlan, run_memory
from app.network.shape import NetworkShape
from app.network.tiers import TIERS

SHAPE = NetworkShape(5300, (1024, 512, 256))
CONFIG = PPOConfig(hidden_dims=(1024, 512, 256), num_envs=256, num_steps=128)
PLAN = RunPlan()


def _with(changes: dict[str, Any]) -> int:
    config = PPOConfig.from_plain({**CONFIG.plain(), **changes})
    return run_memory(NetworkShape(5300, config.hidden_dims), config, PLAN).total_bytes


def test_what_fits_is_answered_with_its_memory() -> None:
    assert check_fits(SHAPE, CONFIG, TIERS["a100"]) == run_memory(SHAPE, CONFIG, PLAN)


def test_exactly_enough_fits_and_one_byte_less_does_not() -> None:
    needed = run_memory(SHAPE, CONFIG, PLAN).total_bytes
    assert check_fits(SHAPE, CONFIG, needed).total_bytes == needed
    with pytest.raises(DoesNotFit):
        check_fits(SHAPE, CONFIG, needed - 1)


def test_the_refusal_names_both_sizes_and_an_alternative_that_fits() -> None:
    needed = run_memory(SHAPE, CONFIG, PLAN).total_bytes
    with pytest.raises(DoesNotFit, match="the card has") as caught:
        check_fits(SHAPE, CONFIG, needed - 1)
    problem = caught.value.problem()
    assert (problem["needed_bytes"], problem["available_bytes"]) == (needed, needed - 1)
    assert problem["alternative"] == {"num_minibatches": 8}
    assert "num_minibatches=8" in problem["hint"]
    assert _with(problem["alternative"]) < needed


def test_a_tier_is_named_in_the_refusal() -> None:
    large = PPOConfig(hidden_dims=(1024, 512, 256), num_envs=8192)
    with pytest.raises(DoesNotFit, match=r"T4 16 GB \(low tier\) has 15\.84 GB"):
        check_fits(SHAPE, large, TIERS["low"])


@pytest.mark.parametrize(
    ("share", "kind"),
    [(0.9, "num_minibatches"), (0.6, "num_envs"), (0.3, "num_envs")],
)
def test_alternatives_shrink_the_batch_before_the_network(share: float, kind: str) -> None:
    available = round(run_memory(SHAPE, CONFIG, PLAN).total_bytes * share)
    alternative = nearest_fitting(SHAPE, CONFIG, available, PLAN)
    assert alternative is not None
    assert next(iter(alternative)) == kind
    assert _with(alternative) <= available


def test_a_smaller_network_is_the_last_resort() -> None:
    alternative = nearest_fitting(SHAPE, CONFIG, 510_000_000, PLAN)
    assert alternative is not None
    assert next(iter(alternative)) == "hidden_dims"
    assert _with(alternative) <= 510_000_000


def test_nothing_fits_a_card_that_is_too_small_for_the_context() -> None:
    assert nearest_fitting(SHAPE, CONFIG, 100_000_000, PLAN) is None
    with pytest.raises(DoesNotFit) as caught:
        check_fits(SHAPE, CONFIG, 100_000_000)
    assert caught.value.extra["alternative"] is None
    assert "larger card" in caught.value.hint


def test_the_largest_minibatch_fits_and_the_next_does_not() -> None:
    available = 24_000_000_000
    most = largest_minibatch(SHAPE, CONFIG, available)
    assert run_memory(SHAPE, CONFIG, PLAN, minibatch_size=most).total_bytes <= available
    assert run_memory(SHAPE, CONFIG, PLAN, minibatch_size=most + 1).total_bytes > available


def test_no_minibatch_fits_no_memory() -> None:
    assert largest_minibatch(SHAPE, CONFIG, 0) == 0
