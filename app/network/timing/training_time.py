"""Shape, plan and a device's speed -> seconds of an update, steps a second, hours of the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.network.config import PPOConfig
from app.network.memory.run_plan import RunPlan
from app.network.shape import DOCUMENTED, NetworkShape
from app.network.timing.calibration import CASES, Calibration, Case
from app.network.timing.datasheets import Datasheet, find_datasheet
from app.network.timing.exchange import exchange_seconds
from app.network.timing.time_constants import (
    MODEL_ERROR,
    TimeConstant,
    bound_constants,
    exchange_constants,
    figures,
    measured_constants,
)
from app.network.timing.training_work import Phase, count_update
from app.network.timing.work_time import works_seconds

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A quantity with its bounds."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    low: float
    """Lowest of the range."""
    high: float
    """Highest of the range."""
    likely: float | None = None
    """Most likely value; null without a calibration, as data sheets say no more than bounds."""


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """A part of each update."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What is computed."""
    flops: int
    """Operations of its matrix products as the trainer executes them, an update; of several processes, one's."""
    bytes: int
    """Bytes that it reads and writes, an update, caches disregarded; of several processes, one's."""
    seconds: float | None = None
    """Its likely seconds an update; null without a calibration."""
    share: float | None = None
    """Part of the update's time, 0 to 1."""


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """How long training takes."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    basis: Literal["calibrated", "uncalibrated"]
    """`calibrated`: by speeds measured on the device. `uncalibrated`: bounds from data sheets and assumed use of them."""
    device: str
    """The device that this holds for."""
    seconds_per_update: TimeRange
    """Seconds of one update, rollout and learning."""
    steps_per_second: TimeRange
    """Environment steps a second, of all processes together."""
    hours: TimeRange
    """Hours for `total_timesteps`, without loading, checkpoints and evaluation."""
    phases: tuple[PhaseTime, ...]
    """Where the time goes."""
    constants: tuple[TimeConstant, ...]
    """What the answer rests on."""
    notes: tuple[str, ...]
    """What to know of it."""
    measured_at: str | None = None
    """When the device was calibrated; null where it was not."""


def estimate_time(
    shape: NetworkShape,
    config: PPOConfig,
    plan: RunPlan,
    calibration: Calibration | None = None,
    *,
    gpu: str = "",
) -> TimeEstimate:
    """Predict the time of training `shape` under `config`.

    By the calibration where there is one, else as bounds by the data sheet of `gpu`, or of all known cards.
    The calibration must be of the plan's kind of device, else it is left aside and a note says so.
    """
    phases = count_update(shape, config, plan)
    notes = [] if plan.windows else [WHOLE_NOTE]
    if plan.processes > 1:
        notes.append(_exchange_note(phases, plan.processes))
    if calibration is not None and calibration.device_type == plan.device_type:
        return _calibrated(phases, config, calibration, notes)
    if calibration is not None:
        notes.append(
            f"the calibration is of a {calibration.device_type} device, the run's is {plan.device_type}"
        )
    return _uncalibrated(phases, config, find_datasheet(gpu, plan.device_type), notes)


def phase_seconds(phase: Phase, config: PPOConfig, calibration: Calibration, case: Case) -> float:
    """Seconds of a phase of one update, sending included."""
    return works_seconds(phase.works, config, calibration, case) + exchange_seconds(phase.sent, case)


WHOLE_NOTE = "observations are taken as written out whole; a job on market windows computes its first layer with less work"


def _exchange_note(phases: Sequence[Phase], processes: int) -> str:
    sent = sum(phase.sent for phase in phases) / 1e6
    return f"each of {processes} processes sends {sent:,.1f} MB of gradients an update; how fast was not measured but assumed"


def _exchanged(phases: Sequence[Phase], cases: Sequence[Case]) -> tuple[TimeConstant, ...]:
    return tuple(exchange_constants(cases)) if any(phase.sent for phase in phases) else ()


def _calibrated(
    phases: Sequence[Phase], config: PPOConfig, calibration: Calibration, notes: list[str]
) -> TimeEstimate:
    uneven = calibration.unsteadiness
    likely = [uneven * phase_seconds(phase, config, calibration, "typical") for phase in phases]
    low = (1 - MODEL_ERROR) * sum(phase_seconds(phase, config, calibration, "fastest") for phase in phases)
    high = (1 + MODEL_ERROR) * sum(phase_seconds(phase, config, calibration, "slowest") for phase in phases)
    if calibration.load.loaded:
        notes.append("the machine was busy with other work while it was calibrated")
    if config.precision == "auto" or config.precision in calibration.precisions:
        pass
    elif calibration.device_type == "cuda" or config.precision != "tf32":
        notes.append(f"{config.precision} was not measured on this device; fp32's speed stands in")
    update = TimeRange(min(low, sum(likely)), max(high, sum(likely)), sum(likely))
    return _describe(
        "calibrated",
        calibration.device,
        calibration.measured_at.isoformat(),
        update,
        config,
        tuple(
            _phase_time(phase, seconds, sum(likely)) for phase, seconds in zip(phases, likely, strict=True)
        ),
        (*measured_constants(calibration), *_exchanged(phases, CASES)),
        tuple(notes),
    )


def _uncalibrated(
    phases: Sequence[Phase], config: PPOConfig, sheets: Sequence[Datasheet], notes: list[str]
) -> TimeEstimate:
    flops, moved = sum(phase.flops for phase in phases), sum(phase.bytes for phase in phases)
    minibatches = config.update_epochs * config.num_minibatches
    bounds = {
        sheet: sheet.seconds(flops, moved, config.precision, config.num_steps, minibatches)
        for sheet in sheets
    }
    fastest, slowest = (
        min(sheets, key=lambda each: bounds[each][0]),
        max(sheets, key=lambda each: bounds[each][1]),
    )
    # At best sending hides behind the rest, at worst nothing does.
    sent = sum(phase.sent for phase in phases)
    low = max(bounds[fastest][0], exchange_seconds(sent, "fastest"))
    high = bounds[slowest][1] + exchange_seconds(sent, "slowest")
    named = sheets[0].name if len(sheets) == 1 else f"any of {len(sheets)} known devices"
    notes.append("uncalibrated: bounds only; `caliper calibrate` on the machine gives a figure")
    return _describe(
        "uncalibrated",
        named,
        None,
        TimeRange(low, high),
        config,
        tuple(_phase_time(phase, None, 0.0) for phase in phases),
        (*bound_constants((fastest, slowest), config.precision), *_exchanged(phases, ("fastest", "slowest"))),
        tuple(notes),
    )


def _describe(  # noqa: PLR0913, PLR0917 - the parts of an answer
    basis: Literal["calibrated", "uncalibrated"],
    device: str,
    measured_at: str | None,
    update: TimeRange,
    config: PPOConfig,
    phases: tuple[PhaseTime, ...],
    constants: tuple[TimeConstant, ...],
    notes: tuple[str, ...],
) -> TimeEstimate:
    steps, hours = float(config.batch_size), config.num_updates / HOUR
    low, likely, high = update.low, update.likely, update.high
    speed = _range(steps / high, steps / low, steps / likely if likely else None)
    total = _range(hours * low, hours * high, hours * likely if likely else None)
    return TimeEstimate(
        basis, device, _range(low, high, likely), speed, total, phases, constants, notes, measured_at
    )


def _range(low: float, high: float, likely: float | None) -> TimeRange:
    return TimeRange(figures(low), figures(high), None if likely is None else figures(likely))


def _phase_time(phase: Phase, seconds: float | None, total: float) -> PhaseTime:
    flops, moved = round(phase.flops), round(phase.bytes)
    if seconds is None:
        return PhaseTime(phase.name, flops, moved)
    return PhaseTime(phase.name, flops, moved, figures(seconds), round(seconds / total, 4))
