"""Made-up calibrations for tests: round numbers, so that times can be computed by hand."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

from app.network.timing.calibration import (
    ACTIVATIONS,
    STREAMS,
    ActivationRate,
    AdamRate,
    Calibration,
    Layout,
    LoopCosts,
    MachineLoad,
    ProductTable,
    Spread,
    StreamRate,
    TablePrecision,
)

NONE = Spread(1e-18, 1e-18, 1e-18)
"""As good as nothing."""

LAYOUTS: tuple[Layout, ...] = ("nn", "nt", "tn", "batched")
IDLE = MachineLoad(0.1, 1.0, 2.0, 0.0, 2, loaded=False)


def spread(typical: float) -> Spread:
    """Half and twice as much at the ends."""
    return Spread(typical / 2, typical, typical * 2)


def table(
    precision: TablePrecision = "fp32",
    layout: Layout = "nn",
    per_flop: float = 1e-9,
    levels: tuple[int, ...] = (1, 1024),
) -> ProductTable:
    """The same speed at all sizes."""
    count = len(levels) ** 3
    fastest, typical, slowest = ((per_flop * factor,) * count for factor in (0.5, 1.0, 2.0))
    return ProductTable(precision, layout, levels, fastest, typical, slowest)


def loop(**seconds: float) -> LoopCosts:
    """Costs of nothing but those given."""
    return LoopCosts(**{name: spread(seconds.get(name, 0.0)) for name in LoopCosts.__slots__})


def calibration(**changes: Any) -> Calibration:
    """A CPU of 1 GFLOP/s in every product, on which all else takes no time."""
    made = Calibration(
        device="test CPU, 1 threads",
        device_type="cpu",
        threads=1,
        versions={"torch": "2.13.0"},
        measured_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        seconds=10.0,
        turns=5,
        clock="wall",
        load=IDLE,
        products=tuple(table(layout=layout) for layout in LAYOUTS),
        streams=tuple(StreamRate(name, NONE) for name in STREAMS),
        activations=tuple(ActivationRate(name, NONE, NONE) for name in ACTIVATIONS),
        adam=(AdamRate(1_000, NONE),),
        loop=loop(),
        corrections=(),
    )
    return dataclasses.replace(made, **changes)
