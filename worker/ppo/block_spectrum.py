"""The spectrum of a series in overlapping blocks, made once for many products with changing weights.

Shape suffixes: T rows of the series, F features, N points of a block, S blocks, M frequencies, B samples.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.ppo.window_basis import WindowBasis


class BlockSpectrum:
    """The spectrum of S blocks of a series, and where each row's window is found among them.

    Block s answers for the windows that end with rows starts[s] … starts[s] + b - 1.
    """

    def __init__(self, series_TF: Tensor, starts: Sequence[int], basis: WindowBasis) -> None:
        self.basis = basis
        self.blocks = len(starts)
        self.features = series_TF.shape[1]
        starts_S = torch.tensor(starts, dtype=torch.int64, device=series_TF.device)
        self.spectrum = _transform(series_TF, starts_S, basis)
        self._index_T, self._sign_T = _locate(series_TF, starts_S, basis)

    def locate(self, rows_B: Tensor) -> tuple[Tensor, Tensor]:
        """Where the windows that end with these rows stand: place [B] in [b·S], and sign [B, 1].

        Place |π|·S + s is that of what rows π and -π of block s have in common; `sign` says on which side
        of the middle the row lies, 0 at the middle itself. Every row must lie in a block.
        """
        return self._index_T.index_select(0, rows_B), self._sign_T.index_select(0, rows_B).unsqueeze(1)


def cover(rows: Sequence[int], block: int) -> list[int]:
    """Starts of the fewest blocks of `block` rows that cover `rows`, which are sorted and distinct."""
    starts: list[int] = []
    covered = -1
    for row in rows:
        if row > covered:
            starts.append(row)
            covered = row + block - 1
    return starts


def _transform(series_TF: Tensor, starts_S: Tensor, basis: WindowBasis) -> Tensor:
    """Each block's spectrum as the real matrix of complex multiplication: [M, 2S, 2F].

    Rows of block s give the product's real part, rows of S + s its imaginary one; columns take the
    weights' real part, then their imaginary one.
    """
    steps_N = torch.arange(basis.points, device=series_TF.device) - (basis.lookback - 1)
    # A block may reach past the series' end: what it says of rows that do not exist is never asked for.
    rows_SN = (starts_S[:, None] + steps_N).clamp(max=series_TF.shape[0] - 1)
    blocks, features = len(starts_S), series_TF.shape[1]
    points_SNF = series_TF.index_select(0, rows_SN.flatten()).view(blocks, basis.points, features)
    spectrum = series_TF.new_empty((basis.frequencies, 2 * blocks, 2 * features))
    real_MSF = torch.matmul(basis.real_series, points_SNF).transpose(0, 1)
    spectrum[:, :blocks, :features] = real_MSF
    spectrum[:, blocks:, features:] = real_MSF
    imaginary_MSF = torch.matmul(basis.imaginary_series, points_SNF).transpose(0, 1)
    spectrum[:, blocks:, :features] = imaginary_MSF
    torch.neg(imaginary_MSF, out=spectrum[:, :blocks, features:])
    return spectrum


def _locate(series_TF: Tensor, starts_S: Tensor, basis: WindowBasis) -> tuple[Tensor, Tensor]:
    """Place and sign of every row of the series; meaningless outside of all blocks."""
    rows, device = series_TF.shape[0], series_TF.device
    side_P = torch.arange(-basis.reach, basis.reach + 1, device=device)
    rows_SP = starts_S[:, None] + side_P + basis.reach
    place_SP = side_P.abs() * len(starts_S) + torch.arange(len(starts_S), device=device)[:, None]
    # One row more, into which all rows past the end are written: a mask's size would be read by the host.
    index_T = torch.zeros(rows + 1, dtype=torch.int64, device=device)
    sign_T = series_TF.new_zeros(rows + 1)
    held = rows_SP.clamp(max=rows).flatten()
    index_T[held] = place_SP.flatten()
    sign_T[held] = side_P.sign().to(series_TF.dtype).repeat(len(starts_S))
    return index_T, sign_T
