"""Products of a series' windows with the first layer's weights, as a convolution over the series.

Neighbouring windows share all rows but one. Blocks of b windows are therefore multiplied in the frequency
domain (window_basis.py): every transform and every product is a matrix product, and the series' own
spectrum is made once for many products. Exact but for rounding, as the direct product is.

Shape suffixes: T rows of the series, F features, L lookback, S blocks, M frequencies, H outputs, B samples.
"""

from collections.abc import Iterator
from itertools import starmap

import torch
from torch import Tensor

from app.network.first_layer import chunk_width
from worker.ppo.block_spectrum import BlockSpectrum
from worker.ppo.workspace import Workspace


class ConvolvedWindows:
    """The windows that end with rows [B] of a series; a `window_product.WindowProduct`."""

    def __init__(self, blocks: BlockSpectrum, rows_B: Tensor, workspace: Workspace) -> None:
        self._blocks = blocks
        self._workspace = workspace
        self._even_B, self._sign_B1 = blocks.locate(rows_B)
        # The odd part of row π lies `reach` blocks' rows further; at the middle row its sign is 0.
        self._odd_B = self._even_B + blocks.basis.reach * blocks.blocks

    def add_to(self, out_BH: Tensor, weight_HM: Tensor) -> None:
        """Add the windows' products with the weights to `out_BH`."""
        for columns in self._chunks(weight_HM):
            spectrum = self._multiply(weight_HM[columns])
            rows = self._synthesise(spectrum)
            out_BH[:, columns] += rows.index_select(0, self._even_B)
            out_BH[:, columns].addcmul_(rows.index_select(0, self._odd_B), self._sign_B1)

    def gradient(self, grad_BH: Tensor, out_HM: Tensor) -> None:
        """Write the weights' gradient, given that of the products."""
        for columns in self._chunks(out_HM):
            rows = self._scatter(grad_BH[:, columns].contiguous())
            self._fold_back(self._analyse(rows), out_HM[columns])

    def _chunks(self, weight_HM: Tensor) -> Iterator[slice]:
        """Outputs a few at a time: what is in work then stays small, and near the processor."""
        outputs, blocks = weight_HM.shape[0], self._blocks
        spectra = 2 * blocks.basis.frequencies * (blocks.features + blocks.blocks)
        width = chunk_width(outputs, spectra, weight_HM.device.type)
        return starmap(slice, ((at, at + width) for at in range(0, outputs, width)))

    def _multiply(self, weight_HM: Tensor) -> Tensor:
        """The outputs' spectrum [M, 2S, H]: real parts of all blocks, then imaginary ones."""
        basis, features, width = self._blocks.basis, self._blocks.features, weight_HM.shape[0]
        spectrum = self._workspace.take("weights", (basis.frequencies, 2 * features, width))
        folded = self._fold_taps(weight_HM)
        flat, half, split = spectrum.flatten(1), features * width, (basis.lookback + 1) // 2
        torch.mm(basis.even_taps, folded[:split].flatten(1), out=flat[:, :half])
        torch.mm(basis.odd_taps, folded[split:].flatten(1), out=flat[:, half:])
        out = self._workspace.take("outputs", (basis.frequencies, 2 * self._blocks.blocks, width))
        return torch.bmm(self._blocks.spectrum, spectrum, out=out)

    def _synthesise(self, spectrum: Tensor) -> Tensor:
        """Even parts of rows π = 0, 1, … of all blocks, then odd parts of π = 1, 2, …: [b·S, H]."""
        basis, width = self._blocks.basis, spectrum.shape[2]
        flat, half = spectrum.flatten(1), self._blocks.blocks * width
        rows = self._workspace.take("rows", (basis.block, self._blocks.blocks, width))
        torch.mm(basis.even_rows, flat[:, :half], out=rows[: basis.reach + 1].flatten(1))
        torch.mm(basis.odd_rows, flat[:, half:], out=rows[basis.reach + 1 :].flatten(1))
        return rows.flatten(0, 1)

    def _scatter(self, grad_BH: Tensor) -> Tensor:
        """The transpose of gathering samples from rows: [b, S, H]."""
        basis, width = self._blocks.basis, grad_BH.shape[1]
        rows = self._workspace.take("rows", (basis.block, self._blocks.blocks, width)).zero_()
        flat = rows.flatten(0, 1)
        flat.index_add_(0, self._even_B, grad_BH)
        flat.index_add_(0, self._odd_B, grad_BH * self._sign_B1)
        return rows

    def _analyse(self, rows: Tensor) -> Tensor:
        """The transpose of `_synthesise` and of the product with the series: the weights' [M, 2F, H]."""
        basis, blocks, width = self._blocks.basis, self._blocks.blocks, rows.shape[2]
        spectrum = self._workspace.take("outputs", (basis.frequencies, 2 * blocks, width))
        flat, half = spectrum.flatten(1), blocks * width
        torch.mm(basis.even_rows.T, rows[: basis.reach + 1].flatten(1), out=flat[:, :half])
        torch.mm(basis.odd_rows.T, rows[basis.reach + 1 :].flatten(1), out=flat[:, half:])
        out = self._workspace.take("weights", (basis.frequencies, 2 * self._blocks.features, width))
        return torch.bmm(self._blocks.spectrum.transpose(1, 2), spectrum, out=out)

    def _fold_back(self, spectrum: Tensor, out_HM: Tensor) -> None:
        """The transpose of the weights' transform, into their own layout."""
        basis, features, width = self._blocks.basis, self._blocks.features, spectrum.shape[2]
        folded = self._workspace.take("folded", (basis.lookback, features, width))
        flat, half, split = spectrum.flatten(1), features * width, (basis.lookback + 1) // 2
        torch.mm(basis.even_taps.T, flat[:, :half], out=folded[:split].flatten(1))
        torch.mm(basis.odd_taps.T, flat[:, half:], out=folded[split:].flatten(1))
        taps, pairs = self._workspace.take("taps", folded.shape), basis.lookback // 2
        torch.sub(folded[:pairs], folded[split:], out=taps[:pairs])
        taps[pairs:split] = folded[pairs:split]
        taps[split:] = (folded[:pairs] + folded[split:]).flip(0)
        out_HM.copy_(taps.flatten(0, 1).T)

    def _fold_taps(self, weight_HM: Tensor) -> Tensor:
        """Taps that share basis rows, added and subtracted: [L, F, H], the even ones first."""
        basis, width = self._blocks.basis, weight_HM.shape[0]
        taps = self._workspace.take("taps", (basis.lookback, self._blocks.features, width))
        taps.flatten(0, 1).copy_(weight_HM.T)
        folded, pairs = self._workspace.take("folded", taps.shape), basis.lookback // 2
        split = basis.lookback - pairs
        early, late = taps[:pairs], taps[split:].flip(0)
        torch.add(late, early, out=folded[:pairs])
        folded[pairs:split] = taps[pairs:split]
        torch.sub(late, early, out=folded[split:])
        return folded
