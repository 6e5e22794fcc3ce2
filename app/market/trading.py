"""What an agent may do, what it costs, and what it is rewarded for; no torch needed to check it."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

from app.errors import InvalidConfig
from app.network.shape import DOCUMENTED, ActionKind

RewardKind = Literal["log_return", "differential_sharpe"]

STRICT: dict[str, Any] = {**DOCUMENTED, "extra": "forbid"}
"""A misspelt cost must be refused: it would silently be the default's."""

MAX_TARGETS = 1_001
"""Most positions in a discrete grid."""

MAX_COST = 10_000.0
"""Largest value of each cost."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading costs; raises InvalidConfig for a value out of range.

    A fill pays |Δposition| · ((fee_bps + half_spread_bps)/10⁴ + slippage · NATR) of the equity, where
    position is a fraction of equity and NATR is the average true range over the price at the decision.
    Nothing has a default: what trading costs is stated, 0 included.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    fee_bps: float
    """Fee per traded notional, in basis points."""
    half_spread_bps: float
    """Half the bid-ask spread, in basis points: a market order fills this far from the open."""
    slippage: float
    """Further distance of the fill, as a fraction of the average true range."""
    borrow_bps_per_year: float
    """Yearly cost of a short position, in basis points of its notional, paid per bar."""

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_number(item.name, getattr(self, item.name), 0.0, MAX_COST)

    @property
    def free(self) -> bool:
        """Whether nothing costs anything; results must then be labelled as before costs."""
        return not any(getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """Which positions the agent can choose; raises InvalidConfig if there is no choice.

    A position is a fraction of equity: 1 is fully long, -1 fully short, 0 out of the market.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: ActionKind = "discrete"
    """`discrete` picks one of `targets`; `gaussian` gives a position, clipped to low..high."""
    targets: tuple[float, ...] = (-1.0, 0.0, 1.0)
    """Positions of the discrete actions, in rising order; unused for gaussian."""
    low: float = -1.0
    """Smallest position of a gaussian action."""
    high: float = 1.0
    """Largest position of a gaussian action."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(float(target) for target in self.targets))
        if self.kind not in ("discrete", "gaussian"):
            hint = "one of discrete, gaussian"
            raise InvalidConfig(f"kind is {self.kind!r}", hint=hint, pointer="actions/kind")
        for name, value in (("low", self.low), ("high", self.high), *(("targets", t) for t in self.targets)):
            _check_number(f"actions/{name}", value, -1.0, 1.0)
        rising = all(a < b for a, b in zip(self.targets, self.targets[1:], strict=False))
        if self.kind == "discrete" and not (rising and 2 <= len(self.targets) <= MAX_TARGETS):
            hint = f"2 to {MAX_TARGETS} different positions from -1 to 1, in rising order"
            raise InvalidConfig(f"targets are {self.targets}", hint=hint, pointer="actions/targets")
        if self.kind == "gaussian" and self.low >= self.high:
            hint = "low below high, both from -1 to 1"
            raise InvalidConfig(
                f"low {self.low} is not below high {self.high}", hint=hint, pointer="actions/low"
            )

    @property
    def action_dim(self) -> int:
        """Outputs of the policy: one per discrete target, or a single mean."""
        return len(self.targets) if self.kind == "discrete" else 1


@dataclass(frozen=True, slots=True)
class EnvSpec:
    """Everything about a trading environment but the market itself."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    costs: Costs
    """What trading costs; has no default."""
    actions: ActionSpec = field(default_factory=ActionSpec)
    """Which positions can be chosen."""
    reward: RewardKind = "log_return"
    """Net log return of the bar, or its contribution to the Sharpe ratio (Moody & Saffell 2001)."""
    sharpe_eta: float = 0.01
    """Adaptation rate of the differential Sharpe ratio's moving averages."""
    episode_length: int = 1_000
    """Bars after which an episode is truncated (its value is bootstrapped)."""
    ruin_equity: float = 0.1
    """An episode terminates when equity falls to this part of its start."""

    def __post_init__(self) -> None:
        if self.reward not in ("log_return", "differential_sharpe"):
            hint = "one of log_return, differential_sharpe"
            raise InvalidConfig(f"reward is {self.reward!r}", hint=hint, pointer="reward")
        _check_number("sharpe_eta", self.sharpe_eta, 1e-6, 1.0)
        _check_number("ruin_equity", self.ruin_equity, 1e-6, 0.999)
        whole = isinstance(self.episode_length, int) and not isinstance(self.episode_length, bool)
        if not whole or not 1 <= self.episode_length <= 10**9:
            hint = "a whole number from 1 to 1,000,000,000"
            detail = f"episode_length is {self.episode_length!r}"
            raise InvalidConfig(detail, hint=hint, pointer="episode_length")

    def plain(self) -> dict[str, Any]:
        """The specification as plain types, as a checkpoint stores it."""
        values = asdict(self)
        return {**values, "actions": {**values["actions"], "targets": list(self.actions.targets)}}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `plain()`; raises InvalidConfig on unknown or missing parts."""
        try:
            nested = {"costs": Costs(**values["costs"]), "actions": ActionSpec(**values["actions"])}
            return cls(**{**values, **nested})
        except (TypeError, KeyError) as error:
            hint = f"known: {', '.join(item.name for item in fields(cls))}"
            raise InvalidConfig(f"the environment cannot be rebuilt: {error}", hint=hint) from error


def _check_number(name: str, value: float, low: float, high: float) -> None:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not numeric or not math.isfinite(value) or not low <= value <= high:
        raise InvalidConfig(f"{name} is {value!r}", hint=f"a number from {low:g} to {high:g}", pointer=name)


RETAIL_COSTS = Costs(fee_bps=5.0, half_spread_bps=1.0, slippage=0.02, borrow_bps_per_year=300.0)
"""About what a liquid crypto or FX retail account costs: an example, not your costs."""
