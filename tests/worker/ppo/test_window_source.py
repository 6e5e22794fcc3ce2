"""What products hold in memory is what is predicted, and never more; tables of rows foreseen and not."""

from typing import Any

import pytest
import torch

from app.network.config import PPOConfig
from app.network.first_layer import FirstLayerPlan, FirstLayerWork, Way, WindowGeometry
from app.network.memory.window_memory import WindowMemory
from worker.ppo.env import WindowSeries
from worker.ppo.row_table import RowTable
from worker.ppo.window_product import gather_windows
from worker.ppo.window_source import (
    ConvolutionSource,
    make_acting_source,
    make_source,
    merge_ranges,
    reachable_rows,
)


def series(rows: int = 900, features: int = 6, lookback: int = 20) -> WindowSeries:
    values = torch.randn(rows, features, generator=torch.Generator().manual_seed(0))
    return WindowSeries(values, lookback, "row", ((lookback - 1, 400), (500, rows)))


def test_ranges_that_touch_or_overlap_are_one() -> None:
    assert merge_ranges(((5, 9), (0, 3), (8, 12), (12, 13))) == [(0, 3), (5, 13)]
    assert len(reachable_rows(series())) == (400 - 19) + (900 - 500)


@pytest.mark.parametrize("block", [17, 65, 129])
@pytest.mark.parametrize("restart", [False, True])
def test_a_convolution_holds_no_more_than_predicted(block: int, restart: bool) -> None:
    windows = series(3_000, 12, 50)
    config = PPOConfig(hidden_dims=(128,), num_envs=16, num_steps=64)
    work = FirstLayerWork.of(config, WindowGeometry(50, 12, 2_800, 2, 3_000), "cpu")
    way = Way("convolution", block)
    memory = WindowMemory(work, FirstLayerPlan(way, way, ""), num_steps=64, restarts=int(restart))
    source = make_source(Way("convolution", block), windows, torch.float32)
    assert isinstance(source, ConvolutionSource)
    draw = torch.Generator().manual_seed(1)
    starts = torch.randint(49, 2_900, (16,), generator=draw)
    rows = starts + torch.arange(64)[:, None]
    if restart:
        rows[30:] = torch.randint(49, 2_900, (16,), generator=draw) + torch.arange(34)[:, None]
    source.prepare(rows)
    some = rows.flatten()[torch.randperm(rows.numel(), generator=draw)[:256]]
    weight = torch.randn(128, 600)
    for _ in range(2):
        product = source.windows(some)
        product.add_to(torch.zeros(256, 128), weight)
        product.gradient(torch.ones(256, 128), weight)
    assert source._blocks is not None
    held = source._workspace.nbytes + source._blocks.spectrum.nbytes + source._blocks._index_T.nbytes
    assert held <= sum(memory.convolution_bytes(block))


@pytest.mark.parametrize("way", [Way("direct"), Way("table"), Way("convolution", 9)], ids=str)
def test_a_table_gives_each_row_s_product_foreseen_or_not(way: Way, monkeypatch: Any) -> None:
    monkeypatch.setattr("worker.ppo.window_source.DirectSource.most_rows", 7)
    windows = series()
    table, weight = RowTable(windows, make_acting_source(way, windows, torch.float32)), torch.randn(5, 120)
    for first in (30, 395):  # the second is cut by the end of its range
        table.fill(weight, torch.tensor([first, 600, 603]), 10)
        for rows in ([first, 609, 612], [19, 899, 500, 19], [399, 20, 21]):
            expected = gather_windows(windows.series_TF, 20, torch.tensor(rows)) @ weight.T
            assert torch.allclose(table.take(torch.tensor(rows), 3), expected, atol=1e-4)
    table.fill(2 * weight, torch.tensor([30]), 4)  # new weights: nothing old is left
    expected = gather_windows(windows.series_TF, 20, torch.tensor([33, 899])) @ (2 * weight).T
    assert torch.allclose(table.take(torch.tensor([33, 899]), 0), expected, atol=1e-4)


@pytest.mark.parametrize("on_a_card", [False, True])
def test_a_rollout_s_table_writes_each_window_out_once(on_a_card: bool, monkeypatch: Any) -> None:
    """A card's tables hold all rows: multiplied anew for each thousand of them they would cost their square."""
    windows, written = series(3_000), []

    def counted(values: torch.Tensor, lookback: int, rows: torch.Tensor) -> torch.Tensor:
        written.extend(rows.tolist())
        return gather_windows(values, lookback, rows)

    for module in ("window_source", "row_table"):
        monkeypatch.setattr(f"worker.ppo.{module}.waits_for_reads", lambda _: on_a_card)
    monkeypatch.setattr("worker.ppo.window_source.gather_windows", counted)
    table = RowTable(windows, make_acting_source(Way("table"), windows, torch.float32))
    table.fill(torch.randn(5, 120), torch.tensor([30, 600, 603]), 2_000)
    expected = (
        reachable_rows(windows).tolist() if on_a_card else sorted({*range(30, 400), *range(500, 2_603)})
    )
    assert sorted(written) == expected
