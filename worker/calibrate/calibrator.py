"""A calibration: turns over everything that is measured, and the tables that follow from them."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import torch

from app.network.timing.calibration import Calibration
from app.network.timing.calibration_check import check_calibration
from worker.calibrate.corrections import Corrections
from worker.calibrate.loop import LoopRuns, no_costs
from worker.calibrate.machine import LoadWatch, find_versions
from worker.calibrate.products import ProductGrid
from worker.calibrate.streams import StreamRates
from worker.calibrate.turns import Clock, Turns
from worker.device import name_device
from worker.ppo.device import Device

FEWEST_TURNS = 5
MOST_TURNS = 25
BUDGET_SECONDS = 14.0
"""No new turn begins after this long, once the fewest are taken."""


class Calibrator:
    """Measures a device; `take` once for each turn, `result` whenever there were some."""

    def __init__(self, device: Device, clock: Clock = "wall", watch: LoadWatch | None = None) -> None:
        self._device = device
        self._watch = watch or LoadWatch.begin()
        self._started = time.monotonic()
        self._turns = Turns(device.torch_device, clock)
        self._taken = 0
        self._products = ProductGrid(self._turns)
        self._streams = StreamRates(self._turns)
        self._loop = LoopRuns(self._turns)
        self._corrections = Corrections(self._turns)

    def take(self) -> None:
        """Measure everything once."""
        self._turns.take()
        self._taken += 1

    def run(self, turns: int = 0) -> Iterator[int]:
        """Take so many turns, or as many as fit the budget; yields after each how many there were."""
        while self._goes_on(turns):
            self.take()
            yield self._taken

    def result(self) -> Calibration:
        """What the turns so far say."""
        tables = Calibration(
            device=name_device(self._device),
            device_type="cpu" if self._device.torch_device.type == "cpu" else "cuda",
            threads=torch.get_num_threads(),
            versions=find_versions(),
            measured_at=datetime.now(UTC),
            seconds=round(time.monotonic() - self._started, 2),
            turns=self._taken,
            clock=self._turns.clock,
            load=self._watch.end(),
            products=self._products.tables(),
            streams=self._streams.streams(),
            activations=self._streams.activations(),
            adam=self._streams.adam(),
            loop=no_costs(),
            corrections=(),
            unsteadiness=self._turns.unsteadiness(),
        )
        return self._complete(tables)

    def _complete(self, tables: Calibration) -> Calibration:
        """What rests on the tables themselves: the loop's costs first, which the corrections need."""
        with_loop = replace(tables, loop=self._loop.costs(tables))
        return check_calibration(replace(with_loop, corrections=self._corrections.ratios(with_loop)))

    def _goes_on(self, turns: int) -> bool:
        if turns:
            return self._taken < turns
        spent = time.monotonic() - self._started
        return self._taken < FEWEST_TURNS or (spent < BUDGET_SECONDS and self._taken < MOST_TURNS)
