"""Lanes side by side decide and earn what bar after bar does, whatever the policy makes of its account."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from app.market import lane_lengths
from app.market.features import FeatureSchema
from app.market.trading import RETAIL_COSTS, ActionSpec, EnvSpec
from app.network.memory import job_memory
from tests.market.making import make_bars
from tests.worker.live_bytes import LiveBytes
from worker.trading import lanes
from worker.trading.account import open_accounts
from worker.trading.join import SERIES
from worker.trading.lanes import replay, walk_ranges
from worker.trading.market import build_market

LOOKBACK = 5
SCHEMA = FeatureSchema(names=("ret_1", "rsi_14"), lookback=LOOKBACK)
MARKET = build_market(make_bars(2_000, seed=5), SCHEMA)
RANGES = [(503, 900), (900, 1_990)]
MARKET_WIDTH = LOOKBACK * len(SCHEMA.names)
NUM_ACCOUNT = len(SCHEMA.account)

Policy = Callable[[Tensor], Tensor]


def parts(observed: Tensor) -> tuple[Tensor, Tensor]:
    """The newest bar's return, and the newest account features."""
    return observed[:, MARKET_WIDTH - len(SCHEMA.names)], observed[:, -NUM_ACCOUNT:]


def heedless(observed: Tensor) -> Tensor:
    return (parts(observed)[0] > 0).long() * 2


def sticky(observed: Tensor) -> Tensor:
    """Keeps its position unless the market moves far."""
    move, account = parts(observed)
    present = account[:, 0].round().long() + 1
    return torch.where(move.abs() < 1.5, present, torch.where(move > 0, 2, 0))


def counting(observed: Tensor) -> Tensor:
    """Turns after so many bars: each decision hangs on all before it."""
    _, account = parts(observed)
    held = torch.atanh(account[:, 2].clamp(max=0.999)) * 100
    return torch.where(
        held > 13.5, 2 - (account[:, 0].round().long() + 1), account[:, 0].round().long().clamp(min=0) + 1
    )


def fearful(observed: Tensor) -> Tensor:
    """Goes flat in a drawdown that may have begun long before."""
    move, account = parts(observed)
    return torch.where(account[:, 3] > 0.15, 1, torch.where(move > 0, 2, 0))


def smooth(observed: Tensor) -> Tensor:
    move, account = parts(observed)
    return (0.5 * account[:, 0] + 0.2 * move + account[:, 3])[:, None]


def bar_after_bar(policy: Policy, spec: EnvSpec, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    with monkeypatch.context() as patch:
        patch.setattr(lane_lengths, "LANE_BARS", 10**9)
        return walk_ranges(policy, MARKET, spec, RANGES)


@pytest.mark.parametrize("policy", [heedless, sticky, counting, fearful, smooth], ids=lambda p: p.__name__)
@pytest.mark.parametrize("ruin", [0.01, 0.8], ids=["rich", "ruined"])
def test_lanes_equal_bar_after_bar(policy: Policy, ruin: float, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "gaussian" if policy is smooth else "discrete"
    spec = EnvSpec(RETAIL_COSTS, actions=ActionSpec(kind=kind), ruin_equity=ruin)
    expected = bar_after_bar(policy, spec, monkeypatch)
    monkeypatch.setattr(lane_lengths, "LANE_BARS", 37)
    found = walk_ranges(policy, MARKET, spec, RANGES)
    if policy in (heedless, sticky):
        assert any(record[3].any() for record in expected) is (ruin == 0.8)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_most_policies_settle_in_few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    walk = lanes._walk_lanes

    def count(*arguments: object) -> list[Tensor]:
        passes.append(len(arguments[3]))  # type: ignore[arg-type]
        return walk(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lanes, "_walk_lanes", count)
    monkeypatch.setattr(lane_lengths, "LANE_BARS", 100)
    walk_ranges(sticky, MARKET, EnvSpec(RETAIL_COSTS), RANGES)
    assert passes[0] == 15
    assert len(passes) <= 4


def test_a_range_has_no_more_lanes_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_lengths, "MAX_LANES", 3)
    monkeypatch.setattr(lane_lengths, "LANE_BARS", 10)
    made = lanes._split(0, 500, 1_500)
    assert [(lane.start, lane.stop) for lane in made] == [(500, 834), (834, 1_168), (1_168, 1_500)]


def test_a_replay_is_the_account_that_fills_make_one_by_one() -> None:
    spec = EnvSpec(RETAIL_COSTS)
    target = torch.tensor(np.random.default_rng(1).choice([-1.0, 0.0, 0.5, 1.0], 300, p=[0.2, 0.3, 0.1, 0.4]))
    rows = torch.arange(600, 900)
    account, seen = replay(MARKET, spec, rows, target, open_accounts(1, MARKET.device))
    one = open_accounts(1, MARKET.device)
    for k in range(300):
        filled = lanes.fill(one, MARKET, spec.costs, rows[k : k + 1], target[k : k + 1])
        one = filled.account
        for name in ("position", "equity", "entry_equity", "peak_equity", "bars_held"):
            assert float(getattr(one, name)) == pytest.approx(float(getattr(account, name)[k]), rel=1e-12), (
                name,
                k,
            )
        torch.testing.assert_close(filled.seen_NK[0], seen[k])


@pytest.mark.parametrize("policy", [sticky, smooth], ids=lambda p: p.__name__)
def test_blocks_and_stretches_change_no_bit(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "gaussian" if policy is smooth else "discrete"
    spec = EnvSpec(RETAIL_COSTS, actions=ActionSpec(kind=kind))
    monkeypatch.setattr(lane_lengths, "LANE_BARS", 37)
    whole = walk_ranges(policy, MARKET, spec, RANGES)
    monkeypatch.setattr(lanes, "BLOCK_BYTES", 1)
    monkeypatch.setattr(lanes, "REPLAY_BARS", 80)
    pieces = walk_ranges(policy, MARKET, spec, RANGES)
    for one, other in zip(whole, pieces, strict=True):
        assert np.array_equal(one, other)


def test_a_replay_goes_on_from_any_account() -> None:
    spec, generator = EnvSpec(RETAIL_COSTS), np.random.default_rng(2)
    target = torch.tensor(generator.choice([-1.0, 0.0, 0.5, 1.0], 300, p=[0.2, 0.1, 0.1, 0.6]))
    rows, fresh = torch.arange(600, 900), open_accounts(1, MARKET.device)
    whole, seen = replay(MARKET, spec, rows, target, fresh)
    for cut in range(1, 300, 23):
        before = lanes._take(whole, slice(cut - 1, cut))
        account, after = replay(MARKET, spec, rows[cut:], target[cut:], before)
        for name in ("position", "equity", "entry_equity", "peak_equity", "bars_held"):
            assert torch.equal(getattr(account, name), getattr(whole, name)[cut:]), (name, cut)
        assert torch.equal(after, seen[cut:])


def test_the_device_holds_no_records_of_the_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_lengths, "MAX_LANES", 20)
    monkeypatch.setattr(lanes, "BLOCK_BYTES", 2**12)
    monkeypatch.setattr(lanes, "REPLAY_BARS", 1_000)
    market = build_market(make_bars(45_000, seed=5), SCHEMA)
    peaks = []
    for stop in (22_500, 44_500):  # 20 lanes of 1,100 and of 2,200 bars, each a stretch by itself
        with LiveBytes(*(getattr(market, name) for name in SERIES)) as memory:
            walk_ranges(heedless, market, EnvSpec(RETAIL_COSTS), [(500, stop)])
        peaks.append(memory.peak)
    assert peaks[1] < 400 * 2_200
    assert peaks[1] - peaks[0] < 400 * 1_100  # and 22,000 bars more


def test_the_memory_that_is_foretold_is_of_these_blocks() -> None:
    assert (job_memory.RECORDED_BYTES, job_memory.REPLAYED_BARS) == (lanes.BLOCK_BYTES, lanes.REPLAY_BARS)
