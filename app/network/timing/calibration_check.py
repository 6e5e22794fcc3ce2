"""Whether a calibration is one: complete, within bounds, and of numbers that a measurement can give."""

from typing import Any

from app.errors import InvalidInput
from app.network.timing.calibration import ACTIVATIONS, STREAMS, Calibration, LoopCosts, ProductTable, Spread

FASTEST_VALUE, SLOWEST_VALUE = 1e-18, 1e6
"""Seconds of any measured quantity lie between these."""

MOST_CHARACTERS, MOST_VERSIONS, MOST_THREADS = 200, 20, 4096
"""Longest device name or version, most versions, most threads."""

MOST_ENTRIES = 20_000
"""Most numbers of one table."""

LEAST_UNSTEADINESS, MOST_UNSTEADINESS = 0.5, 100.0
"""Bounds of a turn's mean over its medians."""


def check_calibration(calibration: Calibration) -> Calibration:
    """Return the calibration itself; raises InvalidInput naming what no measurement can give."""
    _check_texts(calibration)
    if calibration.measured_at.tzinfo is None:
        raise InvalidInput(
            "measured_at has no zone", hint="such as 2026-11-23T18:00:00Z", pointer="measured_at"
        )
    for table in calibration.products:
        _check_table(table)
    held = {(table.precision, table.layout) for table in calibration.products}
    missing = {("fp32", layout) for layout in ("nn", "nt", "tn", "batched")} - held
    if missing:
        raise InvalidInput(
            f"products lacks {sorted(missing)}",
            hint="measured by `caliper calibrate`",
            pointer="products",
        )
    _check_names("streams", {rate.name for rate in calibration.streams}, STREAMS)
    _check_names("activations", {rate.name for rate in calibration.activations}, ACTIVATIONS)
    if not calibration.adam or not all(rate.parameters >= 1 for rate in calibration.adam):
        raise InvalidInput("adam lacks a size", hint="at least one, each from 1 parameter on", pointer="adam")
    if not LEAST_UNSTEADINESS <= calibration.unsteadiness <= MOST_UNSTEADINESS:
        raise InvalidInput(
            f"unsteadiness is {calibration.unsteadiness}",
            hint=f"from {LEAST_UNSTEADINESS} to {MOST_UNSTEADINESS}",
            pointer="unsteadiness",
        )
    for name, spread in _spreads(calibration):
        _check_spread(name, spread)
    return calibration


def _check_texts(calibration: Calibration) -> None:
    texts = {
        "device": calibration.device,
        **{f"versions/{k}": f"{k}{v}" for k, v in calibration.versions.items()},
    }
    for pointer, text in texts.items():
        if not (1 <= len(text) <= MOST_CHARACTERS and text.isprintable()):
            hint = f"1 to {MOST_CHARACTERS} printable characters"
            raise InvalidInput(f"{pointer} is {text[:80]!r}", hint=hint, pointer=pointer)
    if len(calibration.versions) > MOST_VERSIONS:
        raise InvalidInput("versions names too much", hint=f"at most {MOST_VERSIONS}", pointer="versions")
    if not 1 <= calibration.threads <= MOST_THREADS:
        hint = f"from 1 to {MOST_THREADS}"
        raise InvalidInput(f"threads is {calibration.threads}", hint=hint, pointer="threads")


def _spreads(calibration: Calibration) -> list[tuple[str, Spread]]:
    loop = calibration.loop
    return [
        *((f"streams/{rate.name}", rate.seconds) for rate in calibration.streams),
        *((f"activations/{rate.name}", rate.forward) for rate in calibration.activations),
        *((f"activations/{rate.name}", rate.backward) for rate in calibration.activations),
        *((f"adam/{rate.parameters}", rate.seconds) for rate in calibration.adam),
        *((f"loop/{name}", getattr(loop, name)) for name in LoopCosts.__slots__),
        *((f"corrections/{each.what}", each.ratio) for each in calibration.corrections),
    ]


def _check_names(pointer: str, given: set[Any], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in given]
    if missing:
        raise InvalidInput(
            f"{pointer} lacks {', '.join(missing)}", hint=f"all of {', '.join(needed)}", pointer=pointer
        )


def _check_table(table: ProductTable) -> None:
    levels, entries = table.levels, len(table.levels) ** 3
    if len(levels) < 2 or entries > MOST_ENTRIES or levels[0] < 1 or sorted(set(levels)) != list(levels):
        raise InvalidInput(
            f"levels are {levels[:8]}", hint="ascending sizes from 1, at least two", pointer="products/levels"
        )
    for case in ("fastest", "typical", "slowest"):
        values: tuple[float, ...] = getattr(table, case)
        if len(values) != entries or not all(FASTEST_VALUE <= value <= SLOWEST_VALUE for value in values):
            detail = f"{case} of {table.precision} {table.layout} holds {len(values)} values"
            raise InvalidInput(detail, hint=f"{entries} positive seconds", pointer=f"products/{case}")


def _check_spread(name: str, spread: Spread) -> None:
    # What is taken as a difference may be too small to be told from nothing; nothing else takes no time.
    least = 0.0 if name.startswith("loop/") else FASTEST_VALUE
    ordered = least <= spread.fastest <= spread.typical <= spread.slowest <= SLOWEST_VALUE
    if not ordered:
        hint = f"seconds from {least:g} on, fastest <= typical <= slowest"
        raise InvalidInput(f"{name} is {spread}", hint=hint, pointer=name)
