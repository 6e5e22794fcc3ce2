"""docs/trading.md says what the code does: its tables, formulas and numbers."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import torch

from app.market.performance import Performance
from app.market.schema import ACCOUNT_FEATURES, CLIP
from app.market.splits import HORIZON
from app.market.trading import MAX_TARGETS, RETAIL_COSTS, ActionSpec, Costs, EnvSpec, RewardKind
from tests.market.making import make_bars
from worker.selftest.checks import FALSE_ALARM_RATE, FALSE_ALARM_Z, NEAR_OPTIMAL, SCHEMA, Scale
from worker.trading.account import EQUITY_FLOOR, HELD_BARS, cost_rates, net_growth
from worker.trading.market import build_market

DOC = (Path(__file__).parents[3] / "docs" / "trading.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return DOC.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_column(title: str) -> list[str]:
    rows = re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)
    assert rows, title
    return rows


def test_tables_name_what_the_code_has_in_its_order() -> None:
    assert first_column("What the agent sees of its account") == list(ACCOUNT_FEATURES)
    assert first_column("Costs") == [item.name for item in fields(Costs)]
    assert first_column("Rewards") == list(get_args(RewardKind))
    assert first_column("What the evaluation's numbers mean") == [item.name for item in fields(Performance)]


def test_numbers_are_those_of_the_code() -> None:
    spec = EnvSpec(RETAIL_COSTS)
    assert f"`ruin_equity` ({spec.ruin_equity})" in DOC
    assert f"`episode_length` ({spec.episode_length:,})" in DOC
    assert f"The default is `{spec.reward}`" in DOC
    assert f"2 to {MAX_TARGETS:,} rising positions" in DOC
    assert ActionSpec().targets == (-1.0, 0.0, 1.0)
    assert f"clipped to ±{CLIP:g}" in DOC
    assert f"/ {HELD_BARS:g})" in section("What the agent sees of its account")
    assert EQUITY_FLOOR == 1e-6
    assert "a millionth" in DOC
    assert HORIZON == 2
    scale = Scale()
    assert f"{NEAR_OPTIMAL:.0%}".replace("%", " %") in section("Does it learn at all?")
    assert f"with {len(scale.leak_seeds)} seeds out of {len(scale.leak_seeds)}" in DOC
    assert f"pooled z of {len(scale.null_seeds)} policies" in DOC
    assert f"below {FALSE_ALARM_Z}" in DOC
    assert f"probability {FALSE_ALARM_RATE:.0%}".replace("%", " %") in DOC


@pytest.mark.parametrize(("before", "target"), [(0.0, 1.0), (-1.0, 1.0), (0.4, -0.7)])
def test_the_formulas_for_costs_and_growth_are_those_of_the_code(before: float, target: float) -> None:
    bars = make_bars(700, seed=1)
    market, costs, t = build_market(bars, SCHEMA), Costs(5, 1, 0.02, 300), torch.tensor([600])
    moved, position = (torch.tensor([x], dtype=torch.float64) for x in (abs(target - before), target))
    paid, borrow = cost_rates(market, costs, t, moved, position)
    natr, year = float(market.natr_T[600]), bars.periods_per_year
    names = {"costs": costs, "natr": natr, "p": target, "change": abs(target - before), "year": year}
    written = section("Costs").partition("```")[2]
    assert "paid   = |Δposition| · ((fee_bps + half_spread_bps) / 10⁴ + slippage · NATR[t])" in written
    expected = eval("change * ((costs.fee_bps + costs.half_spread_bps) / 1e4 + costs.slippage * natr)", names)
    assert float(paid) == pytest.approx(expected, rel=1e-12)
    assert "borrow = max(0, \N{MINUS SIGN}p) · borrow_bps_per_year / 10⁴ / bars of a year" in written
    expected = eval("max(0, -p) * costs.borrow_bps_per_year / 1e4 / year", names)
    assert float(borrow) == pytest.approx(expected, rel=1e-12)
    growth = float(net_growth(position, torch.tensor([1.02], dtype=torch.float64), paid, borrow))
    assert growth == pytest.approx((1 - float(paid)) * (1 + target * 0.02 - float(borrow)), rel=1e-12)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", DOC):
        assert (Path(__file__).parents[3] / "docs" / target).exists(), target
    for path in re.findall(r"`(tests/[\w/.]+)`", DOC):
        assert (Path(__file__).parents[3] / path).exists(), path
