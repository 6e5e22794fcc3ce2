"""The batched environment equals the scalar reference within 1e-9, over random rules and action sequences."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st

from app.market.bars import Bars
from app.market.features import FeatureSchema, measure_risk
from app.market.splits import Span
from app.market.trading import ActionSpec, Costs, EnvSpec
from tests.market.making import make_bars
from tests.worker.trading.reference_env import ReferenceEpisode, ReferenceMarket, ReferenceRules
from worker.trading.env import TradingEnv
from worker.trading.join import join_markets
from worker.trading.market import MarketTensors, build_market

LOOKBACK, ENVS, WARMUP = 5, 3, 500
SMALL = FeatureSchema(names=("ret_1",), lookback=LOOKBACK)
TOLERANCE = 1e-9
ROUNDING = 1e-15
"""Of a log return: a few units in the last place of an equity near 1."""

CALM = make_bars(1_250, gaps=(620,), seed=4)
WILD = make_bars(1_250, gaps=(640,), seed=5, volatility=0.2)
WEEKDAYS = replace(WILD, declarations=replace(WILD.declarations, calendar="24x5"))

ACTIONS = {
    "discrete": ActionSpec(),
    "grid": ActionSpec(targets=(-1, -0.4, 0.0, 0.3, 1)),
    "continuous": ActionSpec(kind="gaussian", low=-0.7, high=0.9),
}


def reference_of(assets: list[tuple[Bars, Span]]) -> ReferenceMarket:
    """Assets end to end; allowed decisions from the rules: a whole warm window before, two bars after."""
    market = ReferenceMarket([], [], [], [], [], {})
    for bars, span in assets:
        offset, risk = len(market.open), measure_risk(bars)
        for start, stop in bars.segments:
            first = max(start + WARMUP - 1 + LOOKBACK - 1, span.start)
            last = min(stop - 3, span.stop - 1)
            market.last_decision |= {row + offset: last + offset for row in range(first, last + 1)}
        market.open += bars.open.tolist()
        market.close += bars.close.tolist()
        market.sigma += risk.sigma.tolist()
        market.natr += risk.natr.tolist()
        market.bars_per_year += [bars.periods_per_year] * len(bars)
    return market


def whole(bars: Bars) -> Span:
    return Span(0, len(bars))


JOINED = join_markets([build_market(CALM, SMALL), build_market(WEEKDAYS, SMALL)])
SPANS = (Span(530, 1_200), Span(0, 1_250))
CASES: dict[str, tuple[MarketTensors, tuple[Span, ...], ReferenceMarket]] = {
    "calm": (build_market(CALM, SMALL), (whole(CALM),), reference_of([(CALM, whole(CALM))])),
    "wild": (build_market(WILD, SMALL), (whole(WILD),), reference_of([(WILD, whole(WILD))])),
    "two assets": (
        JOINED.whole,
        JOINED.shift(SPANS),
        reference_of(list(zip((CALM, WEEKDAYS), SPANS, strict=True))),
    ),
}


def rules_of(spec: EnvSpec) -> ReferenceRules:
    actions, costs = spec.actions, spec.costs
    return ReferenceRules(
        costs.fee_bps,
        costs.half_spread_bps,
        costs.slippage,
        costs.borrow_bps_per_year,
        list(actions.targets) if actions.kind == "discrete" else None,
        actions.low,
        actions.high,
        spec.sharpe_eta if spec.reward == "differential_sharpe" else None,
        spec.episode_length,
        spec.ruin_equity,
    )


def to_tensor(row: list[float], spec: EnvSpec) -> torch.Tensor:
    if spec.actions.kind == "discrete":
        return torch.tensor(row, dtype=torch.int64)
    return torch.tensor(row, dtype=torch.float32)[:, None]


def compare(case: str, spec: EnvSpec, seed: int, sequence: list[list[float]]) -> set[str]:
    """Step both through the same actions; what kinds of ends came up."""
    market, spans, reference = CASES[case]
    rules = rules_of(spec)
    env = TradingEnv(market, spans, spec, num_envs=ENVS, seed=seed)
    episodes = [ReferenceEpisode(reference, rules, row) for row in env.observe()["t"].tolist()]
    smallest = [1.0] * ENVS
    ends: set[str] = set()
    for row in sequence:
        chosen = to_tensor(row, spec)
        decided = [episode.row for episode in episodes]
        assert set(decided) <= reference.last_decision.keys()
        step = env.step(chosen)
        told = [e.step(float(action)) for e, action in zip(episodes, chosen.flatten(), strict=True)]
        for i, each in enumerate(told):
            smallest[i] = min(
                smallest[i], abs(each.log_return) or 1.0, abs(float(env.log_return_N[i])) or 1.0
            )
        # A Sharpe ratio has no scale: of returns of 1e-9 it is as good as they are, to a few units of 1e-16.
        rtol = TOLERANCE + (ROUNDING / min(smallest) if spec.reward == "differential_sharpe" else 0.0)
        same(env.reward_N, [each.reward for each in told], rtol=rtol)
        same(step.reward_N, [each.reward for each in told], rtol=max(rtol, 1e-6), atol=1e-7)  # float32
        same(env.log_return_N, [each.log_return for each in told])
        same(env.cost_N, [each.cost for each in told])
        same(env.features_NK, [episode.seen[-1] for episode in episodes])
        assert step.terminated_N.tolist() == [each.terminated for each in told]
        assert step.truncated_N.tolist() == [each.truncated for each in told]
        assert step.final_parts["t"].tolist() == [episode.row for episode in episodes]
        for i, episode in enumerate(episodes):
            past = ([[0.0] * 5] * LOOKBACK + episode.seen)[-LOOKBACK:]
            same(step.final_parts["account"][i], past, rtol=1e-6, atol=1e-7)
            if told[i].terminated or told[i].truncated:
                ends.add(describe_end(reference, episode, decided[i], ruined=told[i].terminated))
                smallest[i] = 1.0
                episodes[i] = ReferenceEpisode(reference, rules, int(step.parts["t"][i]))
                assert not step.parts["account"][i].any()
        check_money(env, episodes)
    return ends


def check_money(env: TradingEnv, episodes: list[ReferenceEpisode]) -> None:
    """The accounts' state, of restarted episodes too."""
    state = env.state_dict()
    names = {"position": "position", "equity": "equity", "entry_equity": "entry", "peak_equity": "peak"}
    for ours, theirs in names.items():
        same(state[ours], [getattr(episode, theirs) for episode in episodes])
    assert state["bars_held"].tolist() == [episode.held for episode in episodes]
    assert state["t"].tolist() == [episode.row for episode in episodes]
    assert state["steps"].tolist() == [episode.steps for episode in episodes]


def describe_end(reference: ReferenceMarket, episode: ReferenceEpisode, decided: int, *, ruined: bool) -> str:
    if ruined:
        return "ruin"
    at_edge = decided == reference.last_decision[decided]
    if not at_edge:
        return "length"
    later = [row for row in reference.last_decision if row > decided]
    return "gap" if later else "end of data"


def same(ours: torch.Tensor, theirs: Any, rtol: float = TOLERANCE, atol: float = TOLERANCE) -> None:
    np.testing.assert_allclose(ours.numpy(), np.array(theirs), rtol=rtol, atol=atol)


def actions_of(kind: str) -> st.SearchStrategy[list[list[float]]]:
    count = len(ACTIONS[kind].targets)
    one: Any = st.integers(0, count - 1) if kind != "continuous" else st.floats(-1.5, 1.5, width=32)
    return st.lists(st.lists(one, min_size=ENVS, max_size=ENVS), min_size=1, max_size=60)


@settings(max_examples=60)
@given(
    data=st.data(),
    case=st.sampled_from(sorted(CASES)),
    kind=st.sampled_from(sorted(ACTIONS)),
    reward=st.sampled_from(["log_return", "differential_sharpe"]),
    costs=st.builds(Costs, st.floats(0, 100), st.floats(0, 50), st.floats(0, 2), st.floats(0, 9_000)),
    eta=st.floats(0.001, 0.5),
    length=st.integers(1, 60),
    ruin=st.sampled_from([0.1, 0.5, 0.95]),
    seed=st.integers(0, 10**6),
)
def test_batched_environment_equals_the_scalar_reference(  # noqa: PLR0917 - the parts of the rules
    data: Any,
    case: str,
    kind: str,
    reward: Any,
    costs: Costs,
    eta: float,
    length: int,
    ruin: float,
    seed: int,
) -> None:
    spec = EnvSpec(costs, ACTIONS[kind], reward, eta, length, ruin)
    for end in compare(case, spec, seed, data.draw(actions_of(kind))):
        event(end)


@pytest.mark.parametrize(
    ("kind", "reward"),
    [("discrete", "log_return"), ("grid", "differential_sharpe"), ("continuous", "log_return")],
)
def test_long_walks_meet_every_kind_of_end(kind: str, reward: Any) -> None:
    """The comparison is worth nothing where no episode ends: these walks meet ruin, length, gap and end."""
    generator = np.random.default_rng(7)
    draw = {"discrete": lambda n: generator.integers(0, 3, n), "grid": lambda n: generator.integers(0, 5, n)}
    many = draw.get(kind, lambda n: generator.uniform(-1.5, 1.5, n))
    costs = Costs(5, 1, 0.02, 300)
    ends: set[str] = set()
    for case, length, ruin in (("wild", 40, 0.5), ("calm", 10_000, 0.1), ("two assets", 200, 0.3)):
        spec = EnvSpec(costs, ACTIONS[kind], reward, 0.01, length, ruin)
        ends |= compare(case, spec, 3, [many(ENVS).tolist() for _ in range(300)])
    assert ends == {"ruin", "length", "gap", "end of data"}


def test_a_reference_that_is_off_by_one_bar_is_told_apart() -> None:
    """The comparison can fail: another fill, cost or horizon is not within the tolerance."""
    market, spans, reference = CASES["calm"]
    spec = EnvSpec(Costs(5, 1, 0.02, 300))
    env = TradingEnv(market, spans, spec, num_envs=1, seed=1)
    row = int(env.observe()["t"])
    env.step(torch.tensor([2]))
    right = ReferenceEpisode(reference, rules_of(spec), row).step(2.0)
    late = ReferenceEpisode(reference, rules_of(spec), row + 1).step(2.0)
    free = ReferenceEpisode(reference, replace(rules_of(spec), fee_bps=0.0), row).step(2.0)
    assert abs(float(env.log_return_N) - right.log_return) < TOLERANCE
    assert abs(float(env.log_return_N) - late.log_return) > 1e-6
    assert abs(float(env.log_return_N) - free.log_return) > 1e-6
