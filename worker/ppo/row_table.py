"""The first layer's products of whole windows, computed ahead of a rollout in one go.

Weights stand still during a rollout, and the rows that an environment will see do not depend on its actions
but for where its episodes end. So the products of all coming rows are computed before the first step.

Shape suffixes: T rows of the series, N environments, U distinct rows, B samples, H outputs, M market columns.
"""

import torch
from torch import Tensor

from worker.ppo.device import waits_for_reads
from worker.ppo.env import WindowSeries
from worker.ppo.window_source import DirectSource, WindowSource, place_rows, reachable_rows

LOOKAHEAD = 32
"""Rows computed at once for an environment that has begun a new episode on rows that were not foreseen."""


class RowTable:
    """Products of windows with the rollout's weights, by row.

    On a CPU the table holds the rows ahead of each environment; where an episode begins anew elsewhere, its
    rows are added when they are first seen. Elsewhere to look would wait for the device: there the table
    holds every row that a window may end with.
    """

    def __init__(self, series: WindowSeries, source: WindowSource) -> None:
        self._series = series
        self._source = source
        self._direct = DirectSource(series, series.series_TF.dtype)
        self._rows_U = reachable_rows(series)
        self._whole = waits_for_reads(series.series_TF.device)
        self._place_T = place_rows(self._rows_U, series)
        self._reachable_T = self._place_T >= 0
        self._values_UH = series.series_TF.new_empty(0, 0)

    def fill(self, weight_HM: Tensor, rows_N: Tensor, steps: int) -> None:
        """Compute the products for `steps` rows from each environment's on."""
        self._weight_HM = weight_HM
        rows_U = self._rows_U if self._whole else self._ahead(rows_N, steps)
        if not self._whole:
            self._place_T = place_rows(rows_U, self._series)
        self._source.prepare(rows_U)
        self._values_UH = self._multiply(self._source, rows_U)

    def take(self, rows_B: Tensor, steps: int) -> Tensor:
        """Products [B, H] of the windows that end with these rows; `steps` more are to come."""
        place_B = self._place_T.index_select(0, rows_B)
        if not self._whole and bool((place_B < 0).any()):
            self._add(rows_B[place_B < 0], min(steps, LOOKAHEAD) + 1)
            place_B = self._place_T.index_select(0, rows_B)
        return self._values_UH.index_select(0, place_B)

    def clear(self) -> None:
        """Give the products' memory back until the next `fill`."""
        self._values_UH = self._values_UH.new_empty(0, 0)

    def _add(self, rows_B: Tensor, steps: int) -> None:
        rows_U = self._ahead(rows_B, steps)
        rows_U = rows_U[self._place_T.index_select(0, rows_U) < 0]
        held = len(self._values_UH)
        self._values_UH = torch.cat([self._values_UH, self._multiply(self._direct, rows_U)])
        self._place_T[rows_U] = torch.arange(held, held + len(rows_U))

    def _ahead(self, rows_B: Tensor, steps: int) -> Tensor:
        """Distinct rows from these on, as far as windows may end with them."""
        last = len(self._reachable_T) - 1
        rows: Tensor = torch.unique((rows_B[:, None] + torch.arange(steps)).clamp(max=last))
        return rows[self._reachable_T.index_select(0, rows)]

    def _multiply(self, source: WindowSource, rows_U: Tensor) -> Tensor:
        out_UH = self._weight_HM.new_zeros((len(rows_U), self._weight_HM.shape[0]))
        at_once = source.most_rows or max(1, len(rows_U))
        for start in range(0, len(rows_U), at_once):
            some = slice(start, start + at_once)
            source.windows(rows_U[some]).add_to(out_UH[some], self._weight_HM)
        return out_UH
