"""The convolution over bars against the direct product in float64: values, gradients, rounding, edges."""

import weakref
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from worker.ppo.block_spectrum import BlockSpectrum, cover
from worker.ppo.convolution import ConvolvedWindows
from worker.ppo.window_basis import WindowBasis
from worker.ppo.window_product import gather_windows
from worker.ppo.workspace import Workspace

FP32_BOUND = 4.0
"""Allowed multiple of eps · |window| · |weights|: the rounding that a plain sum of the same terms may show."""


def make(rows: int, features: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(rows, features, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def convolve(series: Tensor, lookback: int, block: int, rows: Tensor) -> ConvolvedWindows:
    basis = WindowBasis(lookback, block, series)
    spectrum = BlockSpectrum(series, cover(torch.unique(rows).tolist(), block), basis)
    return ConvolvedWindows(spectrum, rows, Workspace(series.device, series.dtype))


def both(windows: Any, weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Products added to ones, and the gradient, written into a view of a wider tensor."""
    out = torch.ones_like(grad)
    windows.add_to(out, weight)
    wide = torch.full((weight.shape[0], weight.shape[1] + 3), torch.nan, dtype=weight.dtype)
    windows.gradient(grad, wide[:, :-3])
    assert wide[:, -3:].isnan().all()
    return out - 1, wide[:, :-3]


@settings(max_examples=60, deadline=None)
@given(
    lookback=st.integers(1, 12),
    reach=st.integers(0, 9),
    features=st.integers(1, 4),
    outputs=st.integers(1, 40),
    length=st.integers(0, 60),
    samples=st.integers(1, 50),
    seed=st.integers(0, 10**6),
)
def test_values_and_gradients_are_the_direct_products_in_float64(  # noqa: PLR0917 - the sizes of a case
    lookback: int, reach: int, features: int, outputs: int, length: int, samples: int, seed: int
) -> None:
    series = make(lookback + length, features, torch.float64, seed)
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randint(lookback - 1, len(series), (samples,), generator=draw)
    weight = torch.randn(outputs, lookback * features + 2, dtype=torch.float64, generator=draw)[:, :-2]
    grad = torch.randn(samples, outputs, dtype=torch.float64, generator=draw)
    value, gradient = both(convolve(series, lookback, 2 * reach + 1, rows), weight, grad)
    windows = gather_windows(series, lookback, rows)
    assert torch.allclose(value, windows @ weight.T, rtol=0, atol=1e-11)
    assert torch.allclose(gradient, grad.T @ windows, rtol=0, atol=1e-11)


@pytest.mark.parametrize("block", [1, 33, 129, 257])
@pytest.mark.parametrize("lookback", [20, 99, 100])
def test_rounding_in_fp32_is_that_of_a_plain_sum(lookback: int, block: int) -> None:
    series = make(700, 48, torch.float32)
    rows = torch.cat([torch.arange(200, 328), torch.arange(lookback - 1, lookback + 20), torch.tensor([699])])
    weight = make(32, lookback * 48, torch.float32, seed=1)
    grad = make(len(rows), 32, torch.float32, seed=2)
    value, gradient = both(convolve(series, lookback, block, rows), weight, grad)
    windows = gather_windows(series, lookback, rows).double()
    expected, expected_gradient = windows @ weight.double().T, grad.double().T @ windows
    scale = torch.finfo(torch.float32).eps * windows.norm(dim=1).max()
    assert (value - expected).abs().max() <= FP32_BOUND * scale * weight.norm(dim=1).max()
    scale = torch.finfo(torch.float32).eps * series.norm() * grad.norm(dim=0).max()
    assert (gradient - expected_gradient).abs().max() <= FP32_BOUND * scale


def test_whole_rollouts_of_many_environments_with_restarts_inside() -> None:
    # 6 environments, 40 steps; two begin a new episode on the way, one of them on the last step.
    series = make(400, 5, torch.float64)
    steps = torch.arange(40)
    rows = torch.tensor([7, 20, 33, 150, 151, 360])[:, None] + steps
    rows[1, 17:] = 290 + steps[:23]
    rows[4, 39] = 9
    rows = rows.T.flatten()
    weight, grad = make(12, 8 * 5, torch.float64, 1), make(len(rows), 12, torch.float64, 2)
    value, gradient = both(convolve(series, 8, 41, rows), weight, grad)
    windows = gather_windows(series, 8, rows)
    assert torch.allclose(value, windows @ weight.T, rtol=0, atol=1e-11)
    assert torch.allclose(gradient, grad.T @ windows, rtol=0, atol=1e-11)


def test_outputs_are_computed_in_chunks_and_the_last_may_be_narrower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.network.first_layer.CHUNK_BYTES", {"cpu": 1})
    series, rows = make(60, 3, torch.float64), torch.arange(10, 50)
    weight, grad = make(150, 12, torch.float64, 1), make(40, 150, torch.float64, 2)
    value, gradient = both(convolve(series, 4, 9, rows), weight, grad)
    windows = gather_windows(series, 4, rows)
    assert torch.allclose(value, windows @ weight.T)
    assert torch.allclose(gradient, grad.T @ windows)


def test_one_workspace_serves_one_product_after_another() -> None:
    series, workspace = make(90, 2, torch.float64), Workspace(torch.device("cpu"), torch.float64)
    spectrum = BlockSpectrum(series, [10, 25], WindowBasis(6, 15, series))
    weight = make(7, 12, torch.float64, 1)
    sizes = set()
    for rows in (torch.arange(10, 40), torch.tensor([10, 39, 39])):
        out = torch.zeros(len(rows), 7, dtype=torch.float64)
        ConvolvedWindows(spectrum, rows, workspace).add_to(out, weight)
        assert torch.allclose(out, gather_windows(series, 6, rows) @ weight.T)
        sizes.add(workspace.nbytes)
    assert len(sizes) == 1


def test_a_buffer_that_grows_is_freed_before_its_successor_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(torch.device("cpu"))
    first = weakref.ref(workspace.take("rows", (3, 4))._base)
    alive, empty = [], torch.empty

    def watched(*size: int, **how: Any) -> Tensor:
        alive.append(first() is not None)
        return empty(*size, **how)

    monkeypatch.setattr(torch, "empty", watched)
    assert workspace.take("rows", (5, 4)).shape == (5, 4)
    assert alive == [False]
