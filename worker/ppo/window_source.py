"""Where the windows of a batch come from: each written out, each distinct one once, or by convolution.

Shape suffixes: T rows of the series, B samples, U distinct rows.
"""

from typing import Protocol

import torch
from torch import Tensor

from app.network.first_layer import Way
from worker.ppo.block_spectrum import BlockSpectrum, cover
from worker.ppo.convolution import ConvolvedWindows
from worker.ppo.device import waits_for_reads
from worker.ppo.env import WindowSeries
from worker.ppo.window_basis import WindowBasis
from worker.ppo.window_product import GatheredWindows, WindowProduct, gather_windows
from worker.ppo.workspace import Workspace

ROWS_WRITTEN = 1024
"""Windows that a rollout's table writes out at once: enough for full speed, few enough to stay small."""


class WindowSource(Protocol):
    """Makes products of windows by the rows that these end with."""

    most_rows: int | None
    """How many windows it should be asked for at once, as it writes them out; None for any number."""

    def prepare(self, rows: Tensor) -> None:
        """Make ready for windows that end with any of these rows, int64 of any shape."""
        ...

    def windows(self, rows_B: Tensor) -> WindowProduct:
        """The windows that end with these rows, all of them prepared for."""
        ...


class DirectSource:
    """Writes out the window of each sample."""

    most_rows: int | None = ROWS_WRITTEN

    def __init__(self, series: WindowSeries, dtype: torch.dtype) -> None:
        self._series_TF = series.series_TF.to(dtype)
        self._lookback = series.lookback

    def prepare(self, rows: Tensor) -> None:
        """Nothing: any row will do."""

    def windows(self, rows_B: Tensor) -> WindowProduct:
        """Each sample's window."""
        return GatheredWindows(gather_windows(self._series_TF, self._lookback, rows_B))


class TableSource:
    """Writes out each distinct window once.

    On a CPU those of the batch. Elsewhere to count them would wait for the device: there the table holds all
    rows that a window may end with, and is made once.
    """

    most_rows: int | None = ROWS_WRITTEN

    def __init__(self, series: WindowSeries, dtype: torch.dtype) -> None:
        self._series_TF = series.series_TF.to(dtype)
        self._lookback = series.lookback
        self._all: tuple[Tensor, Tensor] | None = None
        if waits_for_reads(series.series_TF.device):
            rows_U = reachable_rows(series)
            self._all = (gather_windows(self._series_TF, self._lookback, rows_U), place_rows(rows_U, series))

    def prepare(self, rows: Tensor) -> None:
        """Nothing: batches are looked through one by one, or all rows are there."""

    def windows(self, rows_B: Tensor) -> WindowProduct:
        """Each distinct window, and which one is each sample's."""
        if self._all is not None:
            return GatheredWindows(self._all[0], self._all[1].index_select(0, rows_B))
        rows_U, inverse_B = torch.unique(rows_B, return_inverse=True)
        return GatheredWindows(gather_windows(self._series_TF, self._lookback, rows_U), inverse_B)


class ConvolutionSource:
    """Covers the prepared rows with blocks; elsewhere than on a CPU all rows, once, as in TableSource."""

    most_rows: int | None = None

    def __init__(self, series: WindowSeries, block: int) -> None:
        self._series_TF = series.series_TF
        self._basis = WindowBasis(series.lookback, block, series.series_TF)
        self._workspace = Workspace(series.series_TF.device, series.series_TF.dtype)
        self._blocks: BlockSpectrum | None = None
        self._fixed = waits_for_reads(series.series_TF.device)
        if self._fixed:
            starts = [start for rows in merge_ranges(series.ranges) for start in range(*rows, block)]
            self._blocks = BlockSpectrum(self._series_TF, starts, self._basis)

    def prepare(self, rows: Tensor) -> None:
        """Make the spectrum of the fewest blocks that hold these rows."""
        if not self._fixed:
            self._blocks = None  # freed before its successor is made
            starts = cover(torch.unique(rows).tolist(), self._basis.block)
            self._blocks = BlockSpectrum(self._series_TF, starts, self._basis)

    def windows(self, rows_B: Tensor) -> WindowProduct:
        """The samples' places in the blocks."""
        assert self._blocks is not None, "prepare() comes first"
        return ConvolvedWindows(self._blocks, rows_B, self._workspace)


def make_source(way: Way, series: WindowSeries, dtype: torch.dtype) -> WindowSource:
    """The source of this way; `dtype` is that of products of windows written out."""
    if way.method == "convolution":
        return ConvolutionSource(series, way.block)
    return (TableSource if way.method == "table" else DirectSource)(series, dtype)


def make_acting_source(way: Way, series: WindowSeries, dtype: torch.dtype) -> WindowSource:
    """The source of a rollout's products: its rows are distinct already, and each is written out once."""
    return make_source(Way("direct") if way.method == "table" else way, series, dtype)


def reachable_rows(series: WindowSeries) -> Tensor:
    """All rows that a window may end with, ascending, int64 [U]."""
    device = series.series_TF.device
    rows = [torch.arange(start, stop, device=device) for start, stop in merge_ranges(series.ranges)]
    return torch.cat(rows)


def place_rows(rows_U: Tensor, series: WindowSeries) -> Tensor:
    """Each row's place among `rows_U`, -1 where it has none: int64 [T]."""
    place_T = torch.full((len(series.series_TF),), -1, dtype=torch.int64, device=rows_U.device)
    place_T[rows_U] = torch.arange(len(rows_U), device=rows_U.device)
    return place_T


def merge_ranges(ranges: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """Half-open ranges in ascending order, those that touch or overlap made one."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged
