"""Timing many small things in turns, so that what else happens on the machine hits all of them alike."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Literal

import torch

from app.network.timing.calibration import Spread

Clock = Literal["wall", "processor"]
CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}

LEAST_SECONDS = 4e-4
"""A thing that takes less is repeated within a turn until it takes this long."""


@dataclass
class Turns:
    """Times named tasks, each once a turn; a first call of each warms up and is not counted."""

    device: torch.device
    clock: Clock = "wall"
    seconds: dict[Hashable, list[float]] = field(default_factory=dict)
    """Task -> seconds of one call, turn by turn."""
    _tasks: dict[Hashable, Callable[[], object]] = field(default_factory=dict)
    _repeats: dict[Hashable, int] = field(default_factory=dict)

    def add(self, name: Hashable, task: Callable[[], object]) -> None:
        """Have `task` timed from the next turn on."""
        self._tasks[name] = task
        self.seconds[name] = []

    def take(self) -> None:
        """Time every task once."""
        for name, task in self._tasks.items():
            if name not in self._repeats:
                self._warm_up(name, task)
            repeats = self._repeats[name]
            self.seconds[name].append(self._time(task, repeats) / repeats)

    def spread(self, name: Hashable) -> Spread:
        """Over the turns so far."""
        return Spread.of(self.seconds[name])

    def unsteadiness(self) -> float:
        """Mean time of a whole turn over the sum of the tasks' medians."""
        every = self.seconds.values()
        return sum(map(mean, every)) / sum(map(median, every))

    def difference(self, name: Hashable, less: Hashable) -> list[float]:
        """How much longer one task took than another, turn by turn."""
        return [a - b for a, b in zip(self.seconds[name], self.seconds[less], strict=True)]

    def _warm_up(self, name: Hashable, task: Callable[[], object]) -> None:
        self._time(task, 1)
        self._repeats[name] = max(1, min(1_000, round(LEAST_SECONDS / max(self._time(task, 1), 1e-9))))

    def _time(self, task: Callable[[], object], repeats: int) -> float:
        clock = CLOCKS[self.clock]
        self._wait()
        started = clock()
        for _ in range(repeats):
            task()
        self._wait()
        return clock() - started

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
