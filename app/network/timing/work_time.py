"""The time of a work by a calibration's speeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from app.network.config import PPOConfig
from app.network.timing.calibration import AdamRate, Calibration, Case, Correction, ProductTable
from app.network.timing.work import Corrected, Product, Values, Work


def work_seconds(work: Work, config: PPOConfig, calibration: Calibration, case: Case = "typical") -> float:
    """Seconds of one work; without its correction where `work.corrected` is None."""
    return works_seconds((work,), config, calibration, case)


def works_seconds(works: Iterable[Work], config: PPOConfig, calibration: Calibration, case: Case) -> float:
    """Seconds of several works after each other."""
    speeds = _Speeds(config, calibration, case)
    return sum(_seconds(work, speeds) for work in works)


@dataclass(frozen=True)
class _Speeds:
    """A calibration's speeds for one configuration and case."""

    config: PPOConfig
    calibration: Calibration
    case: Case

    def product(self, product: Product) -> float:
        """Seconds of a product by the table of its layout."""
        table = self._table(product)
        return product.flops * table.seconds_per_flop(product.rows, product.inner, product.columns, self.case)

    def values(self, values: Values) -> float:
        """Seconds of reading and writing values."""
        if values.name == "adam":
            return values.count * _adam_seconds(self.calibration.adam, values.size, self.case)
        if values.name.startswith("activation"):
            rate = next(each for each in self.calibration.activations if each.name == self.config.activation)
            spread = rate.forward if values.name == "activation" else rate.backward
            return values.count * spread.at(self.case)
        return values.count * next(
            each.seconds.at(self.case) for each in self.calibration.streams if each.name == values.name
        )

    def correction(self, corrected: Corrected | None) -> float:
        """Measured over modelled time, between the measured cases by the logarithms.

        By the width at the largest batch that was measured; how a smaller batch differs is taken from one width.
        """
        if corrected is None:
            return 1.0
        found = [
            each
            for each in self.calibration.corrections
            if (each.what, each.part) == (corrected.what, corrected.part)
        ]
        if not found:
            return 1.0
        most, narrowest = max(each.samples for each in found), min(each.width for each in found)
        by_width = {each.width: self._ratio(each) for each in found if each.samples == most}
        by_samples = {each.samples: self._ratio(each) for each in found if each.width == narrowest}
        smaller = _between(by_samples, corrected.samples) - _between(by_samples, most)
        return math.exp(_between(by_width, corrected.width) + smaller)

    def _ratio(self, correction: Correction) -> float:
        return math.log(max(correction.ratio.at(self.case), 1e-6))

    def _table(self, product: Product) -> ProductTable:
        wanted = self._precision(product)
        return self._tables.get((wanted, product.layout)) or self._tables["fp32", product.layout]

    @cached_property
    def _tables(self) -> dict[tuple[str, str], ProductTable]:
        return {(table.precision, table.layout): table for table in self.calibration.products}

    def _precision(self, product: Product) -> Literal["fp32", "tf32", "bf16"]:
        precision = self.config.precision
        if precision == "auto":
            precision = "bf16" if "bf16" in self.calibration.precisions else "fp32"
        if product.arithmetic == "exact" and precision == "bf16":
            return "tf32"  # of which a CPU has no table: fp32's then
        return precision


def _seconds(work: Work, speeds: _Speeds) -> float:
    """On a card the host runs ahead: the longer of launching and computing counts; on a CPU both."""
    computing = sum(speeds.product(each) for each in work.products)
    computing += sum(speeds.values(each) for each in work.values)
    computing *= speeds.correction(work.corrected)
    loop = speeds.calibration.loop
    launching = sum(each.count * float(getattr(loop, each.name).at(speeds.case)) for each in work.repeats)
    return computing + launching if speeds.calibration.device_type == "cpu" else max(computing, launching)


def _between(values: Mapping[int, float], at: float) -> float:
    """Between sizes by their logarithms."""
    points = [(math.log(size), values[size]) for size in sorted(values)]
    return _interpolate(points, math.log(at)) if points else 0.0


def _adam_seconds(rates: Sequence[AdamRate], parameters: int, case: Case) -> float:
    return math.exp(
        _between({rate.parameters: math.log(rate.seconds.at(case)) for rate in rates}, parameters)
    )


def _interpolate(points: Sequence[tuple[float, float]], at: float) -> float:
    """Between points of ascending places; beyond them as at the nearest."""
    if at <= points[0][0]:
        return points[0][1]
    for (left, low), (right, high) in pairwise(points):
        if at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return points[-1][1]
