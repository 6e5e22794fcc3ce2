"""The cost model: what it must choose where the answer is plain, and what its sizes promise."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidConfig
from app.network.config import PPOConfig
from app.network.first_layer import (
    CHUNK_BYTES,
    CONVOLUTION_GAINS,
    FirstLayerWork,
    Way,
    WindowGeometry,
    chunk_width,
    expected_blocks,
    plan_first_layer,
    suit_device,
)

MARKET = WindowGeometry(100, 48, 12_000)
CONFIG = PPOConfig(hidden_dims=(256,), num_envs=64, num_steps=128)


def test_many_environments_are_worth_a_convolution() -> None:
    plan = plan_first_layer(CONFIG, MARKET, "cpu")
    assert plan.minibatch.method == plan.rollout.method == "convolution"
    assert "minibatches by convolution" in plan.reason


def test_two_environments_are_not() -> None:
    plan = plan_first_layer(replace(CONFIG, num_envs=2), MARKET, "cpu")
    assert plan.minibatch.method in {"direct", "table"}


def test_a_near_tie_goes_to_the_plainer_way() -> None:
    config, rows = PPOConfig(hidden_dims=(512,), num_envs=32, num_steps=64), replace(MARKET, rows=40_000)
    work = FirstLayerWork.of(config, rows, "cpu")
    convolved = min((way for way in work.ways() if way.block), key=work.minibatch_seconds)
    gain = work.minibatch_seconds(convolved) / work.minibatch_seconds(Way("direct"))
    assert CONVOLUTION_GAINS < gain < 1
    assert plan_first_layer(config, rows, "cpu").minibatch == Way("direct")
    # Seen from more environments the same rows are shared, and the gain is plain.
    assert plan_first_layer(replace(config, num_envs=64), rows, "cpu").minibatch.block


def test_few_rows_seen_by_very_many_samples_are_shared() -> None:
    config = replace(CONFIG, num_envs=4096)
    for device in ("cpu", "cuda"):
        assert plan_first_layer(config, MARKET, device).minibatch.method != "direct"


@pytest.mark.parametrize("method", ["direct", "table", "convolution"])
def test_the_configuration_may_name_the_method(method: str) -> None:
    plan = plan_first_layer(replace(CONFIG, first_layer=method), MARKET, "cpu")
    assert plan.minibatch.method == plan.rollout.method == method
    assert plan.reason == f"your choice: {method}"


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="first_layer"):
        PPOConfig(first_layer="fft").check()  # type: ignore[arg-type]


def test_a_table_past_its_limit_is_refused_with_both_sizes() -> None:
    windows = WindowGeometry(100, 48, 1_000_000)
    with pytest.raises(InvalidConfig, match="19,200,000,000 bytes, and may take 2,147,483,648") as caught:
        plan_first_layer(replace(CONFIG, first_layer="table"), windows, "cuda")
    assert caught.value.pointer == "first_layer"
    assert caught.value.hint == "auto, or direct or convolution where that fits"


def test_a_series_shorter_than_any_block_is_refused_with_both_lengths() -> None:
    chosen = replace(CONFIG, first_layer="convolution")
    with pytest.raises(InvalidConfig, match="5 rows, and the shortest block has 9") as caught:
        plan_first_layer(chosen, replace(MARKET, rows=5), "cpu")
    assert caught.value.pointer == "first_layer"
    assert plan_first_layer(chosen, replace(MARKET, rows=9), "cpu").minibatch.block == 9


def test_another_kind_of_device_takes_another_way_where_this_one_cannot_be() -> None:
    """A CPU's table holds the rows that a minibatch sees, a card's holds them all."""
    windows, table = WindowGeometry(100, 48, 1_000_000), replace(CONFIG, first_layer="table")
    assert suit_device(table, windows, "cpu") == table
    assert suit_device(table, windows, "cuda") == replace(CONFIG, first_layer="auto")
    assert suit_device(table, MARKET, "cuda") == table
    assert suit_device(CONFIG, None, "cuda") == CONFIG


@settings(max_examples=25, deadline=None)
@given(
    lookback=st.integers(1, 200),
    features=st.integers(1, 60),
    rows=st.integers(1, 200_000),
    envs=st.integers(1, 300),
    steps=st.sampled_from([1, 8, 128, 512]),
    device=st.sampled_from(["cpu", "cuda"]),
)
def test_any_run_gets_a_way_that_is_possible_and_modelled_as_fastest_but_for_near_ties(
    lookback: int, features: int, rows: int, envs: int, steps: int, device: str
) -> None:
    config = replace(CONFIG, num_envs=envs, num_steps=steps, num_minibatches=1)
    windows = WindowGeometry(lookback, features, rows)
    plan, work = plan_first_layer(config, windows, device), FirstLayerWork.of(config, windows, device)
    for way in (plan.minibatch, plan.rollout):
        assert way.block % 2 == (way.method == "convolution")
    for chosen, seconds in (
        (plan.minibatch, work.minibatch_seconds),
        (plan.rollout, work.rollout_seconds),
    ):
        for way in work.ways():
            allowed = 1 / CONVOLUTION_GAINS if way.block > chosen.block == 0 else 1.0
            allowed = CONVOLUTION_GAINS if chosen.block > way.block == 0 else allowed
            assert seconds(chosen) <= allowed * seconds(way) * (1 + 1e-12)
    assert plan == plan_first_layer(config, windows, device)


def test_blocks_by_hand() -> None:
    assert expected_blocks(rows=10**9, num_envs=64, steps=128, block=128) == 64  # no overlap
    assert expected_blocks(rows=10**9, num_envs=64, steps=129, block=128) == 128
    assert expected_blocks(rows=1_000, num_envs=10_000, steps=128, block=100) == 10  # all rows
    assert expected_blocks(rows=200, num_envs=1, steps=200, block=50) == 4
    assert 32 <= expected_blocks(rows=8_192, num_envs=64, steps=128, block=129) < 64


def test_separate_trunks_have_twice_the_outputs() -> None:
    work = FirstLayerWork.of(replace(CONFIG, shared_trunk=False), MARKET, "cpu")
    assert work.outputs == 512


def test_chunks_are_of_one_size_and_within_the_allowance() -> None:
    allowed = CHUNK_BYTES["cpu"] // 4
    assert chunk_width(256, allowed // 256, "cpu") == 256
    assert chunk_width(1024, allowed // 200, "cpu") == 176  # 6 chunks of at most 200
    assert chunk_width(1024, 10**9, "cpu") == 64
    assert chunk_width(16, 1, "cpu") == 16
