"""What an evaluation says: a policy's figures beside its baselines, under stress, with intervals."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, ClassVar

from pydantic import TypeAdapter

from app.market.performance import Performance
from app.market.significance import Deflation, Interval, Moments
from app.market.trading import EnvSpec
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Where random draws lie."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    low: float
    """5 % quantile."""
    median: float
    """50 % quantile."""
    high: float
    """95 % quantile."""


@dataclass(frozen=True, slots=True)
class RandomBaseline:
    """The policy's own positions at random times: held as long and traded as often, but without its timing."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    draws: int
    """Random shifts of the sequence of positions, which wraps around the span's end."""
    total_return: Quantiles
    """Of the draws' total returns."""
    sharpe: Quantiles | None
    """Of the draws' annual Sharpe ratios; null if nothing moved."""
    beaten: float
    """Part of the draws whose total return the policy's exceeds, 0 to 1."""


@dataclass(frozen=True, slots=True)
class StressResult:
    """The policy's own decisions on the last span, under worse or better conditions."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    cost_factor: float
    """Every cost times this."""
    delay_bars: int
    """Bars by which each fill comes later."""
    performance: Performance
    """What they would have earned; the decisions are those made at the stated costs, without delay."""


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
    random: RandomBaseline
    """Chance at the policy's own turnover."""
    sharpe_interval: Interval | None
    """Of the policy's Sharpe ratio; null if nothing moved."""
    excess_per_year: float
    """Mean log return over buy & hold, per year."""
    excess_interval: Interval
    """Of it. Where it contains 0 the policy is not distinguishable from buy & hold."""
    sharpe_difference: float | None
    """Sharpe ratio less buy & hold's; null if one of the two never moved."""
    sharpe_difference_interval: Interval | None
    """Of it."""

    @property
    def beats_holding(self) -> bool | None:
        """Whether the policy grew faster than buy & hold; None where that cannot be told."""
        return None if 0.0 in self.excess_interval else self.excess_per_year > 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A policy judged on one market, on one or more spans; intervals are 95 %, stationary bootstrap."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    env: EnvSpec
    """Costs and actions under which all of it holds."""
    before_costs: bool
    """True if every cost was 0: such figures are no trading result."""
    spans: tuple[SpanResult, ...]
    """Results in the order of time: training first, test last."""
    stress: tuple[StressResult, ...]
    """The last span at other costs, and with fills a bar later."""
    moments: Moments | None
    """Of the policy's returns on the last span; null if nothing moved."""
    deflation: Deflation | None
    """Its Sharpe ratio in the light of all runs that had opened this test span; null outside of the registry."""
    parameters: int | None
    """Parameters of the network; null where it is not known."""
    looks_overfitted: bool
    """Whether training and last span lie further apart than chance explains."""
    verdict: tuple[str, ...]
    """What the figures say, in sentences."""

    def plain(self) -> dict[str, Any]:
        """The evaluation as plain types, as the registry stores it."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """What a job's result shows of it: the verdict, and each span's policy beside two baselines."""
        names = ("name", "first_bar", "last_bar", "ruined", "policy", "buy_and_hold", "sma_cross")
        plain = self.plain()
        spans = [{name: span[name] for name in names} for span in plain["spans"]]
        return {"before_costs": self.before_costs, "verdict": list(self.verdict), "spans": spans}

    @staticmethod
    def from_plain(values: dict[str, Any]) -> "Evaluation":
        """Rebuild from `plain()`, also after a way through JSON."""
        return _ADAPTER.validate_python(values)


def mean_figures(evaluations: Sequence[Evaluation]) -> dict[str, dict[str, float | None]]:
    """Sharpe ratio and return by span: of the one dataset, or the mean over all."""
    spans = [[each.spans[place].policy for each in evaluations] for place in range(len(evaluations[0].spans))]
    return {
        span.name: {
            "sharpe": fmean(sharpes)
            if (sharpes := [p.sharpe for p in each if p.sharpe is not None])
            else None,
            "return": fmean(performance.total_return for performance in each),
        }
        for span, each in zip(evaluations[0].spans, spans, strict=True)
    }


_ADAPTER = TypeAdapter(Evaluation)
