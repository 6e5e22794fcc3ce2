"""Robust scaling of features by median and interquartile range, fitted on a training fold only."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from app.errors import InvalidInput
from app.market.features import Features
from app.market.schema import CLIP

_IQR_OF_NORMAL = 1.3489795003921634
"""Interquartile range of the standard normal: dividing by IQR/1.349 leaves normal features at deviation 1."""


def scale_features(features: Features, scaler: "RobustScaler | None") -> Features:
    """What the agent sees: scaled where there is a scaler, and clipped to ±10 in either case."""
    return np.clip(features, -CLIP, CLIP) if scaler is None else scaler.transform(features)


@dataclass(frozen=True, slots=True)
class RobustScaler:
    """(x - center) / scale per feature, clipped to ±10; constant features get scale 1."""

    center: tuple[float, ...]
    """Median of each feature."""
    scale: tuple[float, ...]
    """Interquartile range of each feature over 1.349."""

    @classmethod
    def fit(cls, features: Features, start: int, stop: int) -> Self:
        """Fit on rows start..stop-1, a training fold; warm-up rows (NaN) are left out.

        Raises InvalidInput if no row remains.
        """
        rows = features[start:stop]
        rows = rows[~np.isnan(rows).any(axis=1)].astype(np.float64)
        if not len(rows):
            hint = "give a training fold that reaches past the warm-up of 500 bars"
            raise InvalidInput(f"rows {start}..{stop} hold no features to fit a scaler on", hint=hint)
        low, middle, high = np.percentile(rows, (25, 50, 75), axis=0)
        width = (high - low) / _IQR_OF_NORMAL
        scale = np.where(width > 1e-9, width, 1.0)
        return cls(tuple(map(float, middle)), tuple(map(float, scale)))

    def transform(self, features: Features) -> Features:
        """Scale float32 [T, F]; raises InvalidInput for another number of features."""
        if features.shape[1] != len(self.center):
            detail = f"the scaler knows {len(self.center)} features, the table has {features.shape[1]}"
            raise InvalidInput(detail, hint="fit a scaler for this schema", pointer="scaler")
        scaled = (features.astype(np.float64) - np.array(self.center)) / np.array(self.scale)
        return np.asarray(np.clip(scaled, -CLIP, CLIP), dtype=np.float32)

    def plain(self) -> dict[str, Any]:
        """The scaler as plain types, as a checkpoint stores it."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `plain()`."""
        return cls(tuple(values["center"]), tuple(values["scale"]))
