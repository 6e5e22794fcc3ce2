"""The markets of the self-test: one to draw from, shuffled ones without any pattern, one with a leaked future."""

import math
from dataclasses import replace

import numpy as np
import torch

from app.market.bars import Bars
from app.market.declarations import Declarations
from app.market.performance import FloatArray
from worker.trading.market import MarketTensors

HOUR_US = 3_600_000_000
FIRST_US = 1_500_000_000_000_000
"""Open of the first bar, 2017-07-14; only the clock features see it."""

_FREEDOM = 5
"""Degrees of freedom of the returns: fat tails, as markets have."""


def draw_bars(count: int, seed: int, volatility: float = 0.01) -> Bars:
    """Hourly bars of fat-tailed returns that cluster in volatility; their mean simple return is 0."""
    rng = np.random.default_rng(seed)
    swings = np.exp(0.5 * _smooth(rng.normal(size=count)))
    scale = np.sqrt((_FREEDOM - 2) / _FREEDOM)
    returns = volatility * swings * rng.standard_t(_FREEDOM, count) * scale
    gaps = volatility / 5 * rng.normal(size=count)
    wicks = volatility / 2 * np.abs(rng.normal(size=(2, count)))
    return _build(_centre(np.clip(returns, -0.2, 0.2)), gaps, wicks, rng.lognormal(3, 1, count))


def shuffle_bars(bars: Bars, seed: int) -> Bars:
    """The same bars in random order, chained to a new price: every pattern in time is gone, all else is kept."""
    order = np.random.default_rng(seed).permutation(len(bars))
    before = np.concatenate([bars.open[:1], bars.close[:-1]])
    returns = np.log(bars.close / before)[order]
    gaps = np.log(bars.open / before)[order]
    wicks = np.vstack(
        [
            np.log(bars.high / np.maximum(bars.open, bars.close)),
            np.log(np.minimum(bars.open, bars.close) / bars.low),
        ]
    )[:, order]
    return _build(returns, gaps, wicks, bars.volume[order])


def leak_future(market: MarketTensors) -> MarketTensors:
    """The market with the return that a decision will earn, in units of risk, as its first feature."""
    features = market.features_TF.clone()
    future = torch.log(market.open_T[2:] / market.open_T[1:-1]) / market.sigma_T[:-2].clamp(min=1e-3)
    features[:-2, 0] = future.clamp(-10, 10).float()
    return replace(market, features_TF=features)


def _smooth(noise: FloatArray, memory: float = 0.98) -> FloatArray:
    """An autoregression of order 1 with unit variance."""
    values = np.empty_like(noise)
    level = 0.0
    for index, shock in enumerate(noise):
        level = memory * level + np.sqrt(1 - memory**2) * shock
        values[index] = level
    return values


def _centre(returns: FloatArray) -> FloatArray:
    """Log returns whose simple returns have mean 0: no position earns on average."""
    mean = float(np.exp(returns).mean())
    return returns - math.log(mean)


def _build(returns: FloatArray, gaps: FloatArray, wicks: FloatArray, volume: FloatArray) -> Bars:
    close = 100 * np.exp(np.cumsum(returns))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(gaps)
    count = len(close)
    return Bars(
        utc_us=np.arange(count, dtype=np.int64) * HOUR_US + FIRST_US,
        open=opened,
        high=np.maximum(opened, close) * np.exp(wicks[0]),
        low=np.minimum(opened, close) * np.exp(-wicks[1]),
        close=close,
        volume=volume,
        declarations=Declarations(bar_seconds=3600, calendar="24x7"),
        segments=((0, count),),
    )
