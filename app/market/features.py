"""Bars -> market features, segment by segment; causal: later bars change no earlier row."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.market import volume
from app.market.bars import Bars
from app.market.schema import CLIP, GROUPS, WARMUP_BARS, FeatureSchema
from app.market.series import FloatArray, Series, build_series

__all__ = [
    "WARMUP_BARS",
    "FeatureSchema",
    "RiskMeasures",
    "compute_features",
    "measure_risk",
]

Features = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RiskMeasures:
    """Two float64 [T] series in price fractions that the environment needs; 0 within the warm-up."""

    sigma: FloatArray
    """Deviation of the last 100 one-bar log returns."""
    natr: FloatArray
    """Average true range of 14 bars over the close."""


def compute_features(bars: Bars, schema: FeatureSchema) -> Features:
    """Compute float32 [T, len(schema.names)]; the warm-up rows of each segment are NaN.

    Market features are clipped to ±10; the user's own columns are as uploaded until `scale_features` has
    seen them. Raises InvalidInput if the schema wants volume features of bars without volume and does not
    mask them, or columns that the bars lack.
    """
    _check_volume(bars, schema)
    _check_own(bars, schema)
    result = np.full((len(bars), len(schema.names)), np.nan, dtype=np.float32)
    for start, stop in bars.segments:
        if stop - start >= WARMUP_BARS:
            table = _compute_segment(_slice(bars, start, stop), schema)
            for name in schema.own:
                table[:, schema.names.index(name)] = bars.own_features[name][start:stop]
            result[start + WARMUP_BARS - 1 : stop] = table[WARMUP_BARS - 1 :]
    return result


def measure_risk(bars: Bars) -> RiskMeasures:
    """Compute S and A/C of every bar, within segments."""
    sigma, natr = np.zeros(len(bars)), np.zeros(len(bars))
    for start, stop in bars.segments:
        if stop - start >= WARMUP_BARS:
            series = _slice(bars, start, stop)
            sigma[start:stop] = np.nan_to_num(series.sigma)
            natr[start:stop] = np.nan_to_num(series.natr)
    return RiskMeasures(sigma, natr)


def _slice(bars: Bars, start: int, stop: int) -> Series:
    rows = slice(start, stop)
    prices = (bars.open[rows], bars.high[rows], bars.low[rows], bars.close[rows])
    return build_series(prices, bars.volume[rows], bars.local_us[rows])


def _compute_segment(series: Series, schema: FeatureSchema) -> Features:
    table = np.zeros((len(series.close), len(schema.names)), dtype=np.float32)
    wanted = {name: index for index, name in enumerate(schema.names) if name not in schema.masked}
    for group in GROUPS:
        if wanted.keys() & set(group.NAMES):
            for name, values in zip(group.NAMES, group.compute(series), strict=True):
                if name in wanted:
                    table[:, wanted[name]] = np.clip(values, -CLIP, CLIP)
    return table


def _check_volume(bars: Bars, schema: FeatureSchema) -> None:
    unmasked = [name for name in schema.names if name in volume.NAMES and name not in schema.masked]
    if unmasked and not bars.has_volume:
        detail = f"the bars have no volume, but the schema asks for {', '.join(unmasked)}"
        hint = "mask them (schema.mask_volume(has_volume=False)) or choose features without volume"
        raise InvalidInput(detail, hint=hint, pointer="names")


def _check_own(bars: Bars, schema: FeatureSchema) -> None:
    absent = [name for name in schema.own if name not in bars.own_features]
    if absent:
        hint = "upload the bars with these columns and name them in feature_columns"
        detail = f"the bars lack the feature columns {', '.join(absent)}"
        raise InvalidInput(detail, hint=hint, pointer="features")
