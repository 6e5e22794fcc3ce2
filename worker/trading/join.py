"""Several markets as one series, and each of them as a view of it.

Rows of all assets lie one asset after the other; the segments keep windows and episodes within one asset.
What belongs to an asset (risk, bars of a year, scaled features) stands in its own rows. Shape suffix: T bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from app.errors import InvalidInput
from app.market.mismatch import compare_schemas
from app.market.splits import Span
from worker.trading.market import MarketTensors

SERIES = ("features_TF", "open_T", "close_T", "sigma_T", "natr_T", "periods_per_year_T")
"""The tensors with a row for every bar."""


@dataclass(frozen=True, eq=False)
class JoinedMarkets:
    """Several markets on one device, held once."""

    whole: MarketTensors
    """All rows, for training."""
    edges: tuple[int, ...]
    """Where each asset's rows begin, and the end."""

    @property
    def parts(self) -> tuple[MarketTensors, ...]:
        """Each asset's own market, as views of `whole`, with rows from 0; for evaluation."""
        return tuple(_cut(self.whole, start, stop) for start, stop in pairwise(self.edges))

    def shift(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Spans of the assets' own rows, one each, as spans of `whole`."""
        offsets = self.edges[:-1]
        return tuple(Span(span.start + by, span.stop + by) for span, by in zip(spans, offsets, strict=True))


def join_markets(
    markets: Sequence[MarketTensors], device: torch.device | str = "cpu", features_TF: Tensor | None = None
) -> JoinedMarkets:
    """Lay markets one after the other on a device; raises InvalidInput where their features differ.

    `features_TF` holds all their rows already, where the markets' own features are views of it: no copy is made.
    """
    first = markets[0]
    for market in markets[1:]:
        if market.schema != first.schema:
            words = "; ".join(compare_schemas(first.schema, market.schema))
            raise InvalidInput(f"the markets' features differ: {words}", hint="give all the same schema")
    edges = tuple(accumulate((len(market.open_T) for market in markets), initial=0))
    segments = tuple(
        (start + by, stop + by)
        for by, market in zip(edges, markets, strict=False)
        for start, stop in market.segments
    )
    joined = {} if features_TF is None else {"features_TF": features_TF.to(device)}
    series = joined | {name: _concatenate(markets, name, device) for name in SERIES if name not in joined}
    stamps = np.concatenate([market.utc_us for market in markets])
    whole = MarketTensors(**series, segments=segments, utc_us=stamps, schema=first.schema)
    return JoinedMarkets(whole, edges)


def _concatenate(markets: Sequence[MarketTensors], name: str, device: torch.device | str) -> Tensor:
    values = [getattr(market, name) for market in markets]
    return (values[0] if len(values) == 1 else torch.cat(values)).to(device)


def _cut(whole: MarketTensors, start: int, stop: int) -> MarketTensors:
    series = {name: getattr(whole, name)[start:stop] for name in SERIES}
    segments = tuple((a - start, b - start) for a, b in whole.segments if start <= a < stop)
    return replace(whole, **series, segments=segments, utc_us=whole.utc_us[start:stop])
