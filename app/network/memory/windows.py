"""Observations that are windows over a series which the trainer knows of, as a question describes them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from app.errors import InvalidConfig
from app.network.first_layer import WindowGeometry
from app.network.memory.rollout_memory import INDEX_BYTES
from app.network.memory.update_plan import FLOAT
from app.network.shape import DOCUMENTED, check_whole

MOST_ROWS = 20_000_000_000
"""Most rows of a series that are reckoned with."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of `lookback` rows of `features` columns, ending at any of `rows` rows."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    lookback: int
    """Rows of a window."""
    features: int
    """Columns of the series; what an observation has beyond lookback·features is the account's, as many columns
    in each row."""
    rows: int
    """Rows of the series."""

    @property
    def geometry(self) -> WindowGeometry:
        """The same for the first layer's arithmetic."""
        return WindowGeometry(self.lookback, self.features, self.rows)

    @property
    def series_bytes(self) -> int:
        """The series itself on the device."""
        return FLOAT * self.features * self.rows

    @property
    def stored_bytes(self) -> int:
        """What the rollout buffer stores of a step in place of its observation."""
        return INDEX_BYTES

    def account_bytes(self, obs_dim: int) -> int:
        """Bytes of the account's columns of one row."""
        return FLOAT * (obs_dim // self.lookback - self.features)


def read_windows(
    obs_dim: int, *, lookback: int | None, features: int | None, rows: int | None
) -> Windows | None:
    """The windows of observations of `obs_dim` values; None where nothing is said of them.

    Raises InvalidConfig where only some of the three are given or they cannot make up the observation.
    """
    given = {"lookback": lookback, "features": features, "rows": rows}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if lookback is None or features is None or rows is None:
        raise InvalidConfig(
            f"{', '.join(set(given) - set(missing))} without {', '.join(missing)}",
            hint="give all of lookback, features and rows, or none of them",
            pointer=missing[0],
        )
    check_whole("lookback", lookback, obs_dim)
    check_whole("features", features, obs_dim)
    check_whole("rows", rows, MOST_ROWS)
    _check_window(obs_dim, lookback, features)
    return Windows(lookback, features, rows)


def _check_window(obs_dim: int, lookback: int, features: int) -> None:
    if lookback * features > obs_dim:
        raise InvalidConfig(
            f"lookback·features = {lookback * features:,} is more than obs_dim={obs_dim:,}",
            hint=f"at most {obs_dim // lookback:,} features with this lookback",
            pointer="features",
        )
    if obs_dim % lookback:
        raise InvalidConfig(
            f"obs_dim={obs_dim:,} is no multiple of lookback={lookback:,}",
            hint="an observation has equally many values of each row of its window",
            pointer="lookback",
        )
