"""Products of a series' windows with weights: what each way of computing them offers, and the plain way.

Shape suffixes: T rows of the series, F features, L lookback, B samples, U distinct rows, H outputs, and M = L·F
market columns, time-major: oldest row first, features within.
"""

from typing import Protocol

import torch
from torch import Tensor


class WindowProduct(Protocol):
    """B windows of a series, ready to be multiplied by weights [H, M]."""

    def add_to(self, out_BH: Tensor, weight_HM: Tensor) -> None:
        """Add the windows' products with the weights to `out_BH`."""
        ...

    def gradient(self, grad_BH: Tensor, out_HM: Tensor) -> None:
        """Write the weights' gradient, given that of the products."""
        ...


class GatheredWindows:
    """Windows [U, M] written out; with `inverse_B`, sample b's is number inverse_B[b] of them."""

    def __init__(self, windows_UM: Tensor, inverse_B: Tensor | None = None) -> None:
        self._windows_UM = windows_UM
        self._inverse_B = inverse_B

    def add_to(self, out_BH: Tensor, weight_HM: Tensor) -> None:
        """Multiply each window once."""
        weight_HM = weight_HM.to(self._windows_UM.dtype)
        if self._inverse_B is not None:
            out_BH += torch.mm(self._windows_UM, weight_HM.T).index_select(0, self._inverse_B)
        elif weight_HM.dtype == out_BH.dtype:
            out_BH.addmm_(self._windows_UM, weight_HM.T)
        else:
            out_BH += torch.mm(self._windows_UM, weight_HM.T)

    def gradient(self, grad_BH: Tensor, out_HM: Tensor) -> None:
        """Sum the gradients of samples that share a window, then multiply."""
        if self._inverse_B is not None:
            summed = grad_BH.new_zeros((self._windows_UM.shape[0], grad_BH.shape[1]))
            grad_BH = summed.index_add_(0, self._inverse_B, grad_BH)
        if self._windows_UM.dtype == out_HM.dtype:
            torch.mm(grad_BH.T, self._windows_UM, out=out_HM)
        else:
            out_HM.copy_(torch.mm(grad_BH.T.to(self._windows_UM.dtype), self._windows_UM))


def gather_windows(series_TF: Tensor, lookback: int, rows_B: Tensor) -> Tensor:
    """The windows [B, L·F] that end with these rows.

    Overlapping rows of one strided view: each window is a single contiguous copy.
    """
    rows, width = series_TF.shape
    view = series_TF.as_strided((rows - lookback + 1, lookback * width), (width, 1))
    return view.index_select(0, rows_B - (lookback - 1))
