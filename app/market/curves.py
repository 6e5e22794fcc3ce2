"""Equity and drawdown over a span, thinned to what a chart can show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from app.market.performance import FloatArray
from app.network.shape import DOCUMENTED

CURVE_POINTS = 400
"""Most points of a curve; a chart has about two pixels for each."""

DIGITS = 6


@dataclass(frozen=True, slots=True)
class Curve:
    """One span as a chart shows it; every list has one value per point."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """The span's name."""
    seconds: tuple[int, ...]
    """Seconds since 1970 (UTC) at which the equity stood so."""
    equity: dict[str, tuple[float, ...]]
    """Strategy -> equity in parts of the start; exact at these times."""
    drawdown: dict[str, tuple[float, ...]]
    """Strategy -> the deepest fall from the peak since the point before, 0 or negative."""


def thin_curve(
    name: str, utc_us: npt.NDArray[np.int64], logs: Mapping[str, FloatArray], points: int = CURVE_POINTS
) -> Curve:
    """The curve of log returns [T] by strategy, which are earned by the times [T]."""
    edges = np.unique(np.linspace(0, len(utc_us), min(points, len(utc_us)) + 1).round().astype(np.int64))
    starts, lasts = edges[:-1], edges[1:] - 1
    equity, drawdown = {}, {}
    for strategy, values in logs.items():
        total = values.cumsum()
        fall = np.expm1(total - np.maximum.accumulate(np.maximum(total, 0.0)))
        equity[strategy] = _rounded(np.exp(total[lasts]))
        drawdown[strategy] = _rounded(np.minimum.reduceat(fall, starts))
    return Curve(name, tuple((utc_us[lasts] // 1_000_000).tolist()), equity, drawdown)


def _rounded(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
