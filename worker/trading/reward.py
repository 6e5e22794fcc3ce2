"""Rewards other than the log return itself."""

import torch
from torch import Tensor

SharpeState = tuple[Tensor, Tensor]
"""Moving averages of the return and of its square, float64 [N] each."""

_SMALLEST_VARIANCE = 1e-18


def differential_sharpe(return_N: Tensor, state: SharpeState, eta: float) -> tuple[Tensor, SharpeState]:
    """D = (B·ΔA - A·ΔB/2) / (B - A²)^{3/2} (Moody & Saffell 2001, eq. 15), and the new averages.

    A and B are the averages before the return; while their variance is 0, at an episode's start, D is 0.
    """
    a, b = state
    delta_a, delta_b = return_N - a, return_N.square() - b
    variance = b - a.square()
    known = variance > _SMALLEST_VARIANCE
    scale = torch.where(known, variance, 1.0).pow(1.5)
    reward = torch.where(known, (b * delta_a - 0.5 * a * delta_b) / scale, 0.0)
    return reward, (a + eta * delta_a, b + eta * delta_b)
