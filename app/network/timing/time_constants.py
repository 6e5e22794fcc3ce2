"""The numbers that a predicted time rests on, each with its unit, its basis and its source."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.network.shape import DOCUMENTED
from app.network.timing.calibration import Calibration, Case, Spread
from app.network.timing.datasheets import LOOPS, SHARED, Datasheet
from app.network.timing.exchange import BANDWIDTHS
from app.network.timing.first_layer_work import ADDED_ROWS, CONVOLUTION_CALLS
from app.network.timing.training_work import BACKWARD_CALLS, FORWARD_CALLS
from app.network.timing.work import STREAM_BYTES

MODEL_ERROR = 0.10
"""How far the model may be off beside the measured spread: the goal that benchmarks/timing.py holds it to."""

UNMEASURED = "training was not measured on this device"

COUNTED = "counted in the trainer's code"


@dataclass(frozen=True, slots=True)
class TimeConstant:
    """A number that the time rests on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What it is."""
    value: float
    """The number."""
    unit: str
    """Its unit."""
    basis: Literal["measured", "data sheet", "assumed"]
    """Where it comes from in kind: a data sheet's number was not measured either."""
    source: str
    """Where it comes from."""


def bound_constants(sheets: Iterable[Datasheet], precision: str) -> Iterator[TimeConstant]:
    """Of bounds: the peaks of the sheets that set them, and what is assumed about their use."""
    used = tuple(dict.fromkeys(sheets))
    for sheet in used:
        for arithmetic in dict.fromkeys((precision, "fp32")):
            name = f"peak of {arithmetic} products, {sheet.name}"
            yield TimeConstant(name, sheet.peak(arithmetic), "FLOP/s", sheet.basis, sheet.source)
        name = f"memory bandwidth, {sheet.name}"
        yield TimeConstant(name, sheet.bandwidth, "B/s", sheet.basis, sheet.source)
    for name, (value, unit) in SHARED.items():
        yield TimeConstant(name, value, unit, "assumed", UNMEASURED)
    for kind in {sheet.pattern for sheet in used} & set(LOOPS):
        name = f"part of the loop's best seconds on a {kind.upper()}"
        yield TimeConstant(name, LOOPS[kind], "share", "assumed", UNMEASURED)
    for name, size in STREAM_BYTES.items():
        yield TimeConstant(f"a value in {name}", size, "B", "assumed", "read and written, caches disregarded")


def measured_constants(calibration: Calibration) -> Iterator[TimeConstant]:
    """Of a figure: a calibration's speeds, of tables the fastest entry; GET /calibrations/{id} has all of them."""
    source = f"`caliper calibrate` on {calibration.device}, {calibration.measured_at:%Y-%m-%d %H:%M} UTC"
    for table in calibration.products:
        name = f"largest {table.precision} product, {table.layout}"
        yield TimeConstant(name, figures(1 / min(table.typical)), "FLOP/s", "measured", source)
    for name, unit, spread in _spreads(calibration):
        yield TimeConstant(name, figures(spread.typical), unit, "measured", source)
    yield TimeConstant("unsteadiness", calibration.unsteadiness, "share", "measured", source)
    yield TimeConstant(
        "error of the model", MODEL_ERROR, "share", "assumed", "the goal of benchmarks/timing.py"
    )
    yield TimeConstant("operations of a layer, forward", FORWARD_CALLS, "calls", "assumed", COUNTED)
    yield TimeConstant("operations of a layer, backward", BACKWARD_CALLS, "calls", "assumed", COUNTED)
    yield TimeConstant("operations of a convolution", CONVOLUTION_CALLS, "calls", "assumed", COUNTED)
    yield TimeConstant("rows added to a rollout's table", ADDED_ROWS, "rows", "assumed", COUNTED)


def exchange_constants(cases: Iterable[Case]) -> Iterator[TimeConstant]:
    """Of several processes: how fast they are assumed to send their gradients in these cases."""
    for case in cases:
        value, source = BANDWIDTHS[case]
        yield TimeConstant(f"gradients sent by a process, {case}", value, "B/s", "assumed", source)


def figures(value: float) -> float:
    """To six figures: more would not be true."""
    return float(f"{value:.6g}")


def _spreads(calibration: Calibration) -> Iterator[tuple[str, str, Spread]]:
    """Name, unit and spread of all that is no product."""
    for rate in calibration.streams:
        yield f"a value in {rate.name}", "s", rate.seconds
    for each in calibration.activations:
        yield f"a value of {each.name}", "s", each.forward
        yield f"a value of {each.name}'s gradient", "s", each.backward
    for step in calibration.adam:
        yield f"Adam, a parameter of {step.parameters:,}", "s", step.seconds
    for name in calibration.loop.__slots__:
        yield f"loop: {name}", "s", getattr(calibration.loop, name)
    for found in calibration.corrections:
        case = f"{found.width:,} wide, {found.samples:,} samples"
        yield f"correction of {found.what}, {found.part}, {case}", "share", found.ratio
