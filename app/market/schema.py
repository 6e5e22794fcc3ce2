"""The feature schema: which features in which order an agent sees; versioned and hashed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from typing import Any, ClassVar, Self

from app.errors import InvalidInput, LimitExceeded
from app.market import candle, clock, momentum, trend, volatility, volume
from app.market.series import ATR_BARS, SIGMA_BARS
from app.network.shape import DOCUMENTED

WARMUP_BARS = 500
"""Bars of a segment that a row's recursive indicators need for errors below 1e-6, the row included."""

CLIP = 10.0
"""Every feature is clipped to ±CLIP."""

GROUPS = (candle, trend, momentum, volatility, volume, clock)
"""The modules of market features, in the order of schema v1."""

MARKET_FEATURES: tuple[str, ...] = tuple(name for group in GROUPS for name in group.NAMES)
"""The 48 market features of schema v1."""

ACCOUNT_FEATURES = ("position", "unrealised_pnl", "bars_held", "drawdown", "last_trade")
"""The 5 account features that the environment adds for each bar of the window."""

MAX_LOOKBACK = 10_000
"""Longest window in bars."""

LIBRARY = f"TA-Lib {version('TA-Lib')}"
"""The library that computes the indicators, with its version."""

_PARAMETERS: tuple[tuple[str, float], ...] = (
    *(("warmup_bars", WARMUP_BARS), ("clip", CLIP)),
    *(("sigma_bars", SIGMA_BARS), ("atr_bars", ATR_BARS)),
)


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """Ordered feature names and all that their values depend on; raises InvalidInput if it cannot be.

    An observation is the market window, oldest bar first ([lookback, len(names)] flattened), followed by
    the account window ([lookback, len(account)] flattened).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    names: tuple[str, ...] = MARKET_FEATURES
    """Market features, in the order of the observation's columns."""
    account: tuple[str, ...] = ACCOUNT_FEATURES
    """Account features, in the order of the observation's columns."""
    lookback: int = 100
    """Bars in an observation."""
    masked: tuple[str, ...] = ()
    """Features held at 0 because the bars have no volume."""
    parameters: tuple[tuple[str, float], ...] = _PARAMETERS
    """What all features share: warm-up, clipping, the windows of S and A."""
    library: str = LIBRARY
    """Library and version that computed the indicators."""
    version: int = 1
    """Version of the features' formulas."""
    own: tuple[str, ...] = ()
    """Those of `names` that are the user's own columns, uploaded with the bars; causal by the user's word."""

    def __post_init__(self) -> None:
        for name in ("names", "account", "masked", "own"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "parameters", tuple((str(k), float(v)) for k, v in self.parameters))
        _check_names("own", self.own, self.names)
        _check_own(self.own)
        _check_names("names", self.names, (*MARKET_FEATURES, *self.own))
        _check_names("account", self.account, ACCOUNT_FEATURES)
        _check_names("masked", self.masked, self.names)
        if not self.names:
            raise InvalidInput("names is empty", hint="choose 1 or more market features", pointer="names")
        _check_lookback(self.lookback)

    @property
    def obs_dim(self) -> int:
        """Width of an observation: lookback · (market + account features)."""
        return self.lookback * (len(self.names) + len(self.account))

    @property
    def min_history(self) -> int:
        """Closed bars that a live observation needs: warm-up of its first row, then the window."""
        return WARMUP_BARS + self.lookback - 1

    @property
    def hash(self) -> str:
        """SHA-256 of `plain()`; equal hashes mean observations with the same meaning."""
        return _digest(self.plain())

    @property
    def own_hash(self) -> str | None:
        """SHA-256 of the user's own columns and their places; None where there are none.

        It stays the same when only the service's own features or their library change.
        """
        places = [[name, self.names.index(name)] for name in self.own]
        return _digest(places) if places else None

    def plain(self) -> dict[str, Any]:
        """The schema as plain types, as a checkpoint stores it; `own` only where there are own columns."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        values["parameters"] = dict(self.parameters)
        return {k: v for k, v in values.items() if k != "own" or v}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `plain()`; raises InvalidInput on unknown fields or features."""
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                hint = f"known: {', '.join(sorted(known))}"
                raise InvalidInput(f"unknown field {name!r} of a schema", hint=hint, pointer=name)
        parameters = values.get("parameters", dict(_PARAMETERS))
        return cls(**{**values, "parameters": tuple(dict(parameters).items())})

    def mask_volume(self, *, has_volume: bool) -> Self:
        """The schema for bars with or without volume: without it, volume features are masked."""
        absent = () if has_volume else tuple(name for name in self.names if name in volume.NAMES)
        return replace(self, masked=absent)


def choose_features(wanted: Sequence[str] | None, own: Sequence[str], lookback: int) -> FeatureSchema:
    """The schema of the wanted names, market features and own columns mixed as ordered by the user.

    None takes the 48 market features and then every own column of the bars. Raises InvalidInput.
    """
    names = (*MARKET_FEATURES, *own) if wanted is None else tuple(wanted)
    unknown = [name for name in names if name not in MARKET_FEATURES and name not in own]
    if unknown:
        mine = (
            f"the dataset's own columns {', '.join(own)}" if own else "the dataset has no columns of its own"
        )
        hint = f"one of {', '.join(MARKET_FEATURES)}; {mine}"
        raise InvalidInput(f"features holds unknown feature {unknown[0]!r}", hint=hint, pointer="features")
    return FeatureSchema(names=names, lookback=lookback, own=tuple(name for name in names if name in own))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _check_names(field: str, names: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for name in names:
        if name not in allowed:
            hint = f"one of {', '.join(allowed)}"
            raise InvalidInput(f"{field} holds unknown feature {name!r}", hint=hint, pointer=field)
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        detail = f"{field} holds {', '.join(twins)} more than once"
        raise InvalidInput(detail, hint="name each feature once", pointer=field)


def _check_lookback(lookback: int) -> None:
    if not isinstance(lookback, int) or isinstance(lookback, bool) or lookback < 1:
        hint = f"a whole number from 1 to {MAX_LOOKBACK:,}"
        raise InvalidInput(f"lookback is {lookback!r}", hint=hint, pointer="lookback")
    if lookback > MAX_LOOKBACK:
        raise LimitExceeded("lookback", limit=MAX_LOOKBACK, actual=lookback, pointer="lookback")


def _check_own(own: tuple[str, ...]) -> None:
    taken = [name for name in own if name in MARKET_FEATURES or name in ACCOUNT_FEATURES]
    if taken:
        raise InvalidInput(
            f"own holds built-in feature {taken[0]!r}", hint="rename the column", pointer="own"
        )
