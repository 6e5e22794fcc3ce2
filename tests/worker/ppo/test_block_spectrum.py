import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.ppo.block_spectrum import BlockSpectrum, cover
from worker.ppo.window_basis import WindowBasis


def test_blocks_begin_where_the_last_one_ends_or_at_the_next_row() -> None:
    assert cover([3, 4, 5, 6, 20], 3) == [3, 6, 20]
    assert cover([], 3) == []


@given(st.sets(st.integers(0, 300)), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_every_row_is_covered_once_and_no_block_is_idle(rows: set[int], block: int) -> None:
    starts = cover(sorted(rows), block)
    held = [row for start in starts for row in range(start, start + block)]
    assert len(held) == len(set(held))
    assert rows <= set(held)
    assert set(starts) <= rows


def test_the_spectrum_is_the_series_discrete_fourier_transform() -> None:
    series = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    basis = WindowBasis(4, 7, series)  # 10 points: rows 5 … 14 and 20 … 29
    blocks = BlockSpectrum(series, [8, 23], basis).spectrum
    for s, first in enumerate((5, 20)):
        # Counted from the block's middle, 4.5 points from its first.
        shift = torch.exp(2j * torch.pi / 10 * 4.5 * torch.arange(6, dtype=torch.float64))[:, None]
        expected = torch.fft.rfft(series[first : first + 10], dim=0) * shift
        assert torch.allclose(blocks[:, s, :3], expected.real)
        assert torch.allclose(blocks[:, s, 3:], -expected.imag)
        assert torch.allclose(blocks[:, 2 + s, :3], expected.imag)
        assert torch.allclose(blocks[:, 2 + s, 3:], expected.real)


def test_rows_are_found_by_their_distance_from_the_middle_and_side() -> None:
    series = torch.zeros(30, 1)
    spectrum = BlockSpectrum(series, [10, 27], WindowBasis(2, 5, series))
    place, sign = spectrum.locate(torch.tensor([10, 11, 12, 13, 14, 27, 29]))
    assert place.tolist() == [2 * 2, 1 * 2, 0, 1 * 2, 2 * 2, 2 * 2 + 1, 1]
    assert sign.squeeze(1).tolist() == [-1, -1, 0, 1, 1, -1, 0]
