"""Matrix products over a grid of sizes: a layer's forward, its gradients, and many small ones at once."""

import math
from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from app.network.timing.calibration import Layout, ProductTable, TablePrecision
from worker.calibrate.turns import Turns
from worker.ppo.precision import Arithmetic, choose_precision

LEVELS = (4, 16, 64, 256, 1024)
BATCHED_LEVELS = (16, 64, 256)
BATCH = 64
"""Products of a batch."""

DTYPES: dict[TablePrecision, torch.dtype] = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
}

_Key = tuple[str, TablePrecision, Layout, int, int, int]


def find_precisions(device: torch.device) -> tuple[TablePrecision, ...]:
    """Those that the device has instructions for; tf32 is CUDA's alone."""
    if device.type == "cuda":
        return ("fp32", "tf32", "bf16") if choose_precision("auto", device) == "bf16" else ("fp32",)
    return ("fp32", "bf16") if choose_precision("auto", device) == "bf16" else ("fp32",)


class ProductGrid:
    """All products of a calibration."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._precisions = find_precisions(turns.device)
        draw = torch.Generator().manual_seed(1)
        largest = max(BATCH * BATCHED_LEVELS[-1] ** 2, LEVELS[-1] ** 2)
        self._values = torch.randn(2, largest, generator=draw).to(turns.device)
        for precision in self._precisions:
            self._add(precision)

    def tables(self) -> tuple[ProductTable, ...]:
        """What was measured so far."""
        layouts: tuple[Layout, ...] = ("nn", "nt", "tn", "batched")
        return tuple(
            self._table(precision, layout) for precision, layout in product(self._precisions, layouts)
        )

    def _add(self, precision: TablePrecision) -> None:
        # Rounded once: a cast is no part of a product.
        left, right = self._values.to(DTYPES[precision])
        out = torch.empty_like(left)
        arithmetic = Arithmetic(precision, self._turns.device)
        for layout, rows, inner, columns in _cases():
            call = _prepare(layout, rows, inner, columns, (left, right, out))
            name: _Key = ("product", precision, layout, rows, inner, columns)
            self._turns.add(name, _within(arithmetic, call))

    def _table(self, precision: TablePrecision, layout: Layout) -> ProductTable:
        levels = BATCHED_LEVELS if layout == "batched" else LEVELS
        batch = BATCH if layout == "batched" else 1
        per_flop = {
            sizes: self._turns.spread(("product", precision, layout, *sizes)).scaled(
                1 / (2 * math.prod(sizes) * batch)
            )
            for sizes in product(levels, levels, levels)
        }
        return ProductTable.of(precision, layout, levels, per_flop)


def _cases() -> Iterator[tuple[Layout, int, int, int]]:
    plain: tuple[Layout, ...] = ("nn", "nt", "tn")
    for layout in plain:
        for rows, inner, columns in product(LEVELS, repeat=3):
            yield layout, rows, inner, columns
    for rows, inner, columns in product(BATCHED_LEVELS, repeat=3):
        yield "batched", rows, inner, columns


def _prepare(
    layout: Layout, rows: int, inner: int, columns: int, memory: tuple[Tensor, Tensor, Tensor]
) -> Callable[[], object]:
    left, right, out = memory
    if layout == "batched":
        a, b = _view(left, BATCH, rows, inner), _view(right, BATCH, inner, columns)
        c = _view(out, BATCH, rows, columns)
        return lambda: torch.bmm(a, b, out=c)
    a = _view(left, inner, rows).T if layout == "tn" else _view(left, rows, inner)
    b = _view(right, columns, inner).T if layout == "nt" else _view(right, inner, columns)
    c = _view(out, rows, columns)
    return lambda: torch.mm(a, b, out=c)


def _view(memory: Tensor, *sizes: int) -> Tensor:
    return memory[: math.prod(sizes)].view(sizes)


def _within(arithmetic: Arithmetic, call: Callable[[], object]) -> Callable[[], object]:
    if arithmetic.device.type != "cuda":
        return call

    def run() -> None:
        with arithmetic.products():
            call()

    return run
