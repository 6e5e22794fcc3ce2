"""Several markets as one: windows and episodes stay in their asset, each with its own risk, scaler and year."""

from dataclasses import replace

import pytest
import torch

from app.errors import InvalidInput
from app.market.features import FeatureSchema, compute_features
from app.market.scaler import RobustScaler
from app.market.splits import Span, decision_ranges
from app.market.trading import Costs, EnvSpec
from tests.market.making import make_bars
from worker.trading.env import TradingEnv
from worker.trading.join import SERIES, JoinedMarkets, join_markets
from worker.trading.market import MarketTensors, build_market

LOOKBACK = 4
SCHEMA = FeatureSchema(names=("ret_1", "rsi_14"), lookback=LOOKBACK)
FIRST = make_bars(1_300, seed=1, gaps=(300,))
SECOND = make_bars(1_200, seed=2, volatility=0.05)
SECOND = replace(SECOND, declarations=replace(SECOND.declarations, calendar="24x5"))
BORROW = EnvSpec(Costs(0, 0, 0, 1_000), episode_length=40)


def markets() -> tuple[MarketTensors, MarketTensors]:
    scalers = [RobustScaler.fit(compute_features(bars, SCHEMA), 800, 1_200) for bars in (FIRST, SECOND)]
    assert scalers[0] != scalers[1]
    one, two = (
        build_market(bars, SCHEMA, "cpu", scaler)
        for bars, scaler in zip((FIRST, SECOND), scalers, strict=True)
    )
    return one, two


@pytest.fixture
def joined() -> JoinedMarkets:
    return join_markets(markets())


def test_parts_are_views_of_the_whole_and_equal_the_markets(joined: JoinedMarkets) -> None:
    assert joined.edges == (0, 1_300, 2_500)
    assert joined.whole.segments == ((0, 300), (300, 1_300), (1_300, 2_500))
    for part, alone in zip(joined.parts, markets(), strict=True):
        assert part.segments == alone.segments
        assert part.periods_per_year == alone.periods_per_year
        assert (part.utc_us == alone.utc_us).all()
        for name in SERIES:
            assert torch.equal(getattr(part, name), getattr(alone, name)), name
            storage = getattr(joined.whole, name).untyped_storage().data_ptr()
            assert getattr(part, name).untyped_storage().data_ptr() == storage
        rows = torch.arange(900, 920)
        assert torch.equal(part.windows(rows), alone.windows(rows))


def test_a_single_market_is_not_copied() -> None:
    market = markets()[0]
    joined = join_markets([market])
    assert joined.whole.features_TF.data_ptr() == market.features_TF.data_ptr()
    assert len(joined.parts) == 1


def test_windows_of_the_whole_are_the_assets_own(joined: JoinedMarkets) -> None:
    rows = torch.arange(900, 920)
    for offset, alone in zip(joined.edges, markets(), strict=False):
        assert torch.equal(joined.whole.windows(rows + offset), alone.windows(rows))


def test_years_differ_by_asset_and_no_one_number_stands_for_both(joined: JoinedMarkets) -> None:
    first, second = joined.parts
    assert first.periods_per_year > second.periods_per_year
    with pytest.raises(InvalidInput, match="years of"):
        _ = joined.whole.periods_per_year


def test_episodes_mix_the_assets_and_never_leave_theirs(joined: JoinedMarkets) -> None:
    spans = (Span(0, 1_100), Span(520, 760))
    env = TradingEnv(joined.whole, joined.shift(spans), BORROW, num_envs=32, seed=3)
    allowed: list[set[int]] = []
    for offset, bars, span in zip(joined.edges, (FIRST, SECOND), spans, strict=False):
        ranges = decision_ranges(bars.segments, span, LOOKBACK)
        allowed.append({row + offset for start, stop in ranges for row in range(start, stop)})
    visited: set[int] = set()
    for _ in range(400):
        before = env.observe()["t"].tolist()
        visited |= set(before)
        step = env.step(torch.zeros(32, dtype=torch.int64))
        for was, now in zip(before, step.final_parts["t"].tolist(), strict=True):
            home = next(rows for rows in allowed if was in rows)
            assert now - 1 in home
    for rows in allowed:
        assert len(visited & rows) > 0.9 * len(rows)


def test_each_step_pays_and_earns_as_in_the_asset_alone(joined: JoinedMarkets) -> None:
    spans = (Span(0, 1_300), Span(0, 1_200))
    env = TradingEnv(joined.whole, joined.shift(spans), BORROW, num_envs=2)
    env.load_state_dict(env.state_dict() | {"t": torch.tensor([1_250, 1_300 + 700])})
    step = env.step(torch.tensor([0, 0]))
    for place, (market, span, row) in enumerate(zip(markets(), spans, (1_250, 700), strict=True)):
        alone = TradingEnv(market, span, BORROW, num_envs=1)
        alone.load_state_dict(alone.state_dict() | {"t": torch.tensor([row])})
        expected = alone.step(torch.tensor([0]))
        assert float(env.log_return_N[place]) == float(alone.log_return_N)
        assert float(env.cost_N[place]) == float(alone.cost_N)
        assert torch.equal(env.materialise(step.parts)[place], alone.materialise(expected.parts)[0])
    assert float(env.cost_N[0]) != float(env.cost_N[1])  # a year has fewer bars on the second calendar


def test_other_features_are_refused_by_name() -> None:
    other = build_market(SECOND, replace(SCHEMA, names=("ret_1", "rsi_7")))
    with pytest.raises(InvalidInput, match="rsi_7"):
        join_markets([markets()[0], other])


def test_features_that_lie_one_after_the_other_are_not_copied() -> None:
    parts = [build_market(bars, SCHEMA) for bars in (make_bars(700, seed=1), make_bars(600, seed=2))]
    table = torch.cat([part.features_TF for part in parts])
    views = [
        replace(part, features_TF=rows)
        for part, rows in zip(parts, torch.split(table, [700, 600]), strict=True)
    ]
    joined = join_markets(views, features_TF=table)
    assert joined.whole.features_TF is table
    assert torch.equal(joined.parts[1].features_TF, parts[1].features_TF)
