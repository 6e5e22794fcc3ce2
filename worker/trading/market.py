"""The market on the device: features, prices and risk of every bar, loaded once and shared by all.

Shape suffixes: T bars, F market features, L lookback, B samples.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from app.errors import InvalidInput
from app.market.bars import Bars
from app.market.features import FeatureSchema, measure_risk
from app.market.findings import refuse_one
from app.market.scaler import RobustScaler
from app.market.splits import Span, decision_ranges
from worker.trading.table import fill_features, scale_table


@dataclass(frozen=True, eq=False)
class MarketTensors:
    """All of one market that environments read; nothing here ever changes."""

    features_TF: Tensor
    """float32; warm-up rows are 0 and outside of every allowed window."""
    open_T: Tensor
    """float64 fill prices."""
    close_T: Tensor
    """float64 prices that an account is marked to."""
    sigma_T: Tensor
    """float64 deviation of the last 100 log returns."""
    natr_T: Tensor
    """float64 average true range over the close."""
    segments: tuple[tuple[int, int], ...]
    """Row ranges without a gap."""
    utc_us: npt.NDArray[np.int64]
    """Bar opens in microseconds since 1970, on the host: dates for reports."""
    schema: FeatureSchema
    """What the columns of `features_TF` are."""
    periods_per_year_T: Tensor
    """float64 bars of a trading year, which differ between the assets of a joined market."""

    @property
    def periods_per_year(self) -> float:
        """Bars of a trading year of a single asset; raises InvalidInput where assets differ."""
        low, high = (float(value) for value in self.periods_per_year_T.aminmax())
        if low != high:
            detail = f"the assets have years of {low:g} to {high:g} bars"
            raise InvalidInput(detail, hint="ask each part by itself")
        return low

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.features_TF.device

    def prices_on_host(self) -> "MarketTensors":
        """The same market on the host, but without features: for what only needs prices and their risk."""
        names = ("open_T", "close_T", "sigma_T", "natr_T", "periods_per_year_T")
        series = {name: getattr(self, name).cpu() for name in names}
        return replace(self, features_TF=torch.empty((0, self.features_TF.shape[1])), **series)

    def ranges(self, span: Span) -> tuple[tuple[int, int], ...]:
        """Row ranges of allowed decisions within `span`; raises InvalidDataset if there are none."""
        ranges = decision_ranges(self.segments, span, self.schema.lookback)
        if not ranges:
            message = (
                f"rows {span.start}..{span.stop} allow no decision: warm-up, a window and a reward must fit"
            )
            raise refuse_one("E_TOO_SHORT", message)
        return ranges

    def windows(self, t_B: Tensor) -> Tensor:
        """Market windows [B, L·F] that end with row t, time-major: oldest bar first, features within.

        Overlapping rows of one strided view: each window is a single contiguous copy.
        """
        return self._all_windows().index_select(0, t_B - (self.schema.lookback - 1))

    def observe(self, t_B: Tensor, account_BLK: Tensor) -> Tensor:
        """Observations [B, D]: market window, then account window, both oldest bar first; float32."""
        every, first_B = self._all_windows(), t_B - (self.schema.lookback - 1)
        account = account_BLK.flatten(start_dim=1)
        seen = every.new_empty((len(t_B), every.shape[1] + account.shape[1]))
        # Gathered into place: a separate copy of the windows would cost a third of the time again.
        torch.index_select(every, 0, first_B, out=seen[:, : every.shape[1]])
        seen[:, every.shape[1] :] = account
        return seen

    def _all_windows(self) -> Tensor:
        """Every window as a row of one view, [T - L + 1, L·F]."""
        rows, width = self.features_TF.shape
        lookback = self.schema.lookback
        return self.features_TF.as_strided((rows - lookback + 1, lookback * width), (width, 1))


def build_market(
    bars: Bars, schema: FeatureSchema, device: torch.device | str = "cpu", scaler: RobustScaler | None = None
) -> MarketTensors:
    """Compute the features of all bars and load them onto the device; raises as `compute_features` does."""
    features_TF = torch.empty((len(bars), len(schema.names)))
    fill_features(features_TF.numpy(), bars, schema)
    scale_table(features_TF.numpy(), scaler)
    return load_market(bars, schema, features_TF, device)


def load_market(
    bars: Bars, schema: FeatureSchema, features_TF: Tensor, device: torch.device | str = "cpu"
) -> MarketTensors:
    """Load prices, risk and features that are known already onto the device.

    Raises InvalidInput for fewer bars than the lookback.
    """
    if len(bars) < schema.lookback:
        detail = f"{len(bars)} bars are fewer than the lookback of {schema.lookback}"
        raise InvalidInput(detail, hint="bring more bars or choose a shorter lookback", pointer="lookback")
    risk = measure_risk(bars)
    place = torch.device(device)
    opened, closed, sigma, natr = (
        torch.tensor(values, dtype=torch.float64, device=place)
        for values in (bars.open, bars.close, risk.sigma, risk.natr)
    )
    return MarketTensors(
        features_TF=features_TF.to(place),
        open_T=opened,
        close_T=closed,
        sigma_T=sigma,
        natr_T=natr,
        segments=bars.segments,
        utc_us=bars.utc_us,
        schema=schema,
        periods_per_year_T=torch.full_like(opened, bars.periods_per_year),
    )
