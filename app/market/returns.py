"""Bar-by-bar results of a test span, kept so that folds can be joined exactly."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from app.market.performance import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class SpanReturns:
    """What happened bar by bar, in the order of time; arrays of one length."""

    utc_us: npt.NDArray[np.int64]
    """When each return was earned: microseconds since 1970."""
    policy_logs: FloatArray
    """Net log returns of the policy."""
    positions: FloatArray
    """Its positions."""
    costs: FloatArray
    """Its costs, as fractions of equity."""
    fresh: BoolArray
    """Where the account starts anew: the first bar, and those after a gap."""
    holding_logs: FloatArray
    """Net log returns of buy & hold."""
    holding_costs: FloatArray
    """Its costs."""

    def save(self, path: Path) -> None:
        """Write an .npz file: the same values give the same bytes."""
        with path.open("wb") as file:
            np.savez_compressed(
                file, allow_pickle=False, **{item.name: getattr(self, item.name) for item in fields(self)}
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{item.name: arrays[item.name] for item in fields(cls)})

    @classmethod
    def join(cls, parts: "list[SpanReturns]") -> "SpanReturns":
        """One after the other, in the order of time."""
        ordered = sorted(parts, key=lambda part: int(part.utc_us[0]))
        return cls(
            **{
                item.name: np.concatenate([getattr(part, item.name) for part in ordered])
                for item in fields(cls)
            }
        )
