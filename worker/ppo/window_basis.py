"""Cosines and sines that turn products of overlapping windows into products per frequency.

With y[p] = Σ_l u[p + l] · w[l] for b rows p and L taps, and N = b + L - 1 (no output wraps around):

    y[p] = 1/N Σ_k U_k · V_k · exp(iθkπ),  U_k = Σ_m u[m] exp(-iθk(m - o)),  V_k = Σ_l w[l] exp(iθkλ)

where θ = 2π/N, and π, λ and m - o count from the middle of the rows, of the taps and of the block. Counted
so, rows π and -π share their cosine and sine sums, and taps λ and -λ their basis rows: the transforms
of weights and of outputs cost half of what a plain DFT matrix costs. Overlap-save as in Oppenheim & Schafer,
"Discrete-Time Signal Processing", section 8.7.

Shape suffixes: M frequencies, N points of a block.
"""

import math

import torch
from torch import Tensor


class WindowBasis:
    """The transforms' matrices for a lookback of L taps and blocks of b rows, b odd.

    Computed in float64 and rounded once to the type and device of `like`.
    """

    def __init__(self, lookback: int, block: int, like: Tensor) -> None:
        self.lookback = lookback
        self.block = block
        self.reach = (block - 1) // 2
        """Rows on either side of a block's middle row."""
        self.points = block + lookback - 1
        self.frequencies = self.points // 2 + 1
        angle_M1 = _count(self.frequencies, like)[:, None] * (2 * math.pi / self.points)
        taps = (lookback - 1) / 2 - _count((lookback + 1) // 2, like)
        rows = _count(self.reach + 1, like)
        places = _count(self.points, like) - (self.points - 1) / 2
        share_M1 = self._shares(angle_M1)
        self.even_taps = torch.cos(angle_M1 * taps).to(like.dtype)
        """[M, ⌈L/2⌉]: of w[λ] + w[-λ], the outermost taps first."""
        self.odd_taps = torch.sin(angle_M1 * taps[: lookback // 2]).to(like.dtype)
        """[M, ⌊L/2⌋]: of w[λ] - w[-λ]."""
        self.even_rows = (share_M1 * torch.cos(angle_M1 * rows)).T.contiguous().to(like.dtype)
        """[reach + 1, M]: what rows π and -π have in common, from π = 0."""
        self.odd_rows = (-share_M1 * torch.sin(angle_M1 * rows[1:])).T.contiguous().to(like.dtype)
        """[reach, M]: what is added to row π and taken from row -π, from π = 1."""
        self.real_series = torch.cos(angle_M1 * places).to(like.dtype)
        """[M, N]: real part of the series' transform."""
        self.imaginary_series = torch.sin(angle_M1 * places).neg().to(like.dtype)
        """[M, N]: its imaginary part."""

    def _shares(self, angle_M1: Tensor) -> Tensor:
        """How often a frequency of the half spectrum stands in the whole one, over N."""
        share_M1 = torch.full_like(angle_M1, 2 / self.points)
        share_M1[0] = 1 / self.points
        if self.points % 2 == 0:
            share_M1[-1] = 1 / self.points
        return share_M1


def _count(stop: int, like: Tensor) -> Tensor:
    return torch.arange(stop, dtype=torch.float64, device=like.device)
