"""What an evaluation says: a policy's figures beside its baselines, and a verdict in plain words."""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from app.market.performance import FloatArray, Performance
from app.market.trading import EnvSpec
from app.network.shape import DOCUMENTED

SIGNIFICANT = 1.96
"""|t| from which a difference is called one: 5 % two-sided for a normal statistic."""


@dataclass(frozen=True, slots=True)
class SpanResult:
    """One span: the policy and what it must be compared with, all at the same costs."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """`train`, `validation` or `test`."""
    first_bar: str
    """Open of the first decision's bar, ISO 8601 in UTC."""
    last_bar: str
    """Open of the last decision's bar, ISO 8601 in UTC."""
    ruined: bool
    """Whether the policy lost its capital and was stopped."""
    policy: Performance
    """The deterministic policy over the whole span, on a fresh account for each segment."""
    flat: Performance
    """Never in the market."""
    buy_and_hold: Performance
    """Always fully long."""
    sma_cross: Performance
    """Long while the 20-bar average of closes is above the 100-bar one, else out of the market."""
    excess_per_year: float
    """Mean log return over buy & hold, per year."""
    excess_t: float | None
    """Its t statistic with Newey-West errors; null if the two never differ."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A policy judged on one or more spans."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    env: EnvSpec
    """Costs and actions under which all of it holds."""
    before_costs: bool
    """True if every cost was 0: such figures are no trading result."""
    spans: tuple[SpanResult, ...]
    """Results in the order of time."""
    verdict: tuple[str, ...]
    """What the figures say, in sentences."""

    def plain(self) -> dict[str, Any]:
        """The evaluation as plain types, as the registry stores it."""
        return asdict(self)


def judge(spans: tuple[SpanResult, ...], *, before_costs: bool) -> tuple[str, ...]:
    """The verdict on the last span, and on the distance between the first (training) and it."""
    last = spans[-1]
    words = ["All figures are before costs: they are no trading result."] if before_costs else []
    if last.ruined:
        words.append(f"The policy lost its capital on {last.name}.")
    elif last.policy.trades == 0:
        words.append(f"The policy never traded on {last.name}.")
    words.append(_against_holding(last))
    if last.policy.total_return <= 0 and last.policy.trades:
        words.append(f"It did not beat staying out of the market on {last.name}.")
    if len(spans) > 1 and _looks_overfitted(spans[0].policy, last.policy):
        words.append(
            f"It looks overfitted: Sharpe {spans[0].policy.sharpe:.2f} on {spans[0].name}, "
            f"{last.policy.sharpe or 0.0:.2f} on {last.name}, further apart than chance explains."
        )
    return tuple(words)


def newey_west_t(differences: FloatArray) -> float | None:
    """The t statistic of the mean of [T] with Bartlett weights up to lag ⌊4·(T/100)^{2/9}⌋ (Newey & West 1994)."""
    count = len(differences)
    centred = differences - differences.mean()
    lags = min(int(4 * (count / 100) ** (2 / 9)), count - 1)
    variance = float(centred @ centred) / count
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1)
        variance += 2 * weight * float(centred[lag:] @ centred[:-lag]) / count
    if variance <= 1e-24:
        return None
    return float(np.mean(differences)) / math.sqrt(variance / count)


def sharpe_error(performance: Performance) -> float:
    """Standard error of an annual Sharpe ratio of independent returns (Lo 2002, eq. 9)."""
    per_year = performance.periods / performance.years
    return math.sqrt((1 + (performance.sharpe or 0.0) ** 2 / (2 * per_year)) / performance.years)


def _against_holding(span: SpanResult) -> str:
    t = span.excess_t
    if t is None:
        return f"On {span.name} the policy cannot be told from buy & hold: it did the same."
    if abs(t) < SIGNIFICANT:
        return f"On {span.name} the policy cannot be told from buy & hold (t = {t:.2f}, below {SIGNIFICANT})."
    verb = "beat" if t > 0 else "did worse than"
    return f"On {span.name} the policy {verb} buy & hold (t = {t:.2f})."


def _looks_overfitted(train: Performance, test: Performance) -> bool:
    if train.sharpe is None:
        return False
    error = math.hypot(sharpe_error(train), sharpe_error(test))
    return train.sharpe - (test.sharpe or 0.0) > SIGNIFICANT * error
