"""The first layer's work, operation by operation as the trainer does it (docs/decisions/0014).

first_layer.py chooses among its ways by a few constants; here the chosen one is counted, to be timed by a
calibration.

Notation: L lookback, F features, C = L·F, R other columns, H outputs, B samples, S blocks of b rows, M frequencies.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from app.network.config import PPOConfig
from app.network.first_layer import (
    FirstLayerPlan,
    Way,
    WindowGeometry,
    chunk_width,
    expected_blocks,
    plan_first_layer,
)
from app.network.timing.calibration import Layout, Part
from app.network.timing.work import Arithmetic, Corrected, Product, Work, work

ADDED_ROWS = 33
"""Rows added to a rollout's table at once where an episode begins anew (worker/ppo/row_table.py)."""

CONVOLUTION_CALLS = 18
"""Operations of one pass over one chunk of outputs, either way."""


@dataclass(frozen=True)
class WindowedLayer:
    """The first layer of a run whose observations are windows."""

    config: PPOConfig
    windows: WindowGeometry
    rest: int
    """Columns of an observation beside the window."""
    device_type: str
    restarts: float = 0.0
    """Episodes that begin anew within a rollout, over all environments."""

    @property
    def outputs(self) -> int:
        """H of all trunks together."""
        return self.config.hidden_dims[0] * (1 if self.config.shared_trunk else 2)

    def ahead(self) -> Work:
        """The products of all rows ahead, before a rollout."""
        config = self.config
        way, steps = self._plan.rollout, config.num_steps + 1
        if way.method == "direct":
            return Work()
        rows = self._distinct(config.num_envs * steps)
        if way.method == "table":
            return self._written(
                rows, Corrected("direct", "forward", self.outputs, config.minibatch_size), exact=True
            )
        blocks = self._blocks(way.block, steps, config.num_envs)
        return self._convolution(way, blocks, rows, "forward", "ahead")

    def acting(self) -> Work:
        """One rollout's part of every step: rows taken out of the table, or windows multiplied."""
        config = self.config
        samples = config.num_envs * (config.num_steps + 1)
        rest = self._affine_rest(config.num_envs).times(config.num_steps + 1)
        if self._plan.rollout.method == "direct":
            step = self._written(config.num_envs, None).times(config.num_steps + 1)
            return _join(rest, step)
        taken = work(values={"gather": samples * self.outputs, "copy": samples * self.outputs})
        return _join(rest, taken, self._added())

    def prepare(self) -> Work:
        """The series' spectrum, once a rollout for the minibatches."""
        way = self._plan.minibatch
        if way.method != "convolution" or self.device_type != "cpu":
            return Work()
        blocks, points, frequencies = self._learning_blocks(way.block), *self._points(way.block)
        transform = Product("nn", frequencies, points, self.windows.features, blocks, 2, "exact")
        values = blocks * self.windows.features * (points + 4 * frequencies)
        return work([transform], values={"copy": values})

    def forward(self) -> Work:
        """One minibatch's products."""
        return self._minibatch("forward")

    def backward(self) -> Work:
        """The gradient of one minibatch's products; the observation needs none."""
        return self._minibatch("backward")

    @cached_property
    def _plan(self) -> FirstLayerPlan:
        return plan_first_layer(self.config, self.windows, self.device_type)

    def _minibatch(self, part: Part) -> Work:
        batch, way = self.config.minibatch_size, self._plan.minibatch
        corrected = Corrected("direct", part, self.outputs, batch)
        rest = self._affine_rest(batch, part)
        if way.method == "direct":
            return _join(self._written(batch, corrected, part), rest)
        if way.method == "convolution":
            blocks = self._learning_blocks(way.block)
            return _join(self._convolution(way, blocks, batch, part, part), rest)
        shared = {"gather" if part == "forward" else "scatter": float(batch * self.outputs)}
        shared["copy"] = float(batch * self.outputs)
        rows = self._distinct(batch)
        return _join(self._written(rows, corrected, part), rest, work(values=shared))

    def _written(
        self, rows: float, corrected: Corrected | None, part: Part = "forward", *, exact: bool = False
    ) -> Work:
        """Windows written out and multiplied; the gradient finds them written."""
        arithmetic: Arithmetic = "exact" if exact else "windows"
        columns, outputs = self.windows.columns, self.outputs
        if part == "backward":
            gradient = Product("tn", outputs, rows, columns, arithmetic=arithmetic)
            return work([gradient], repeats={"operation": 3}, corrected=corrected)
        product = Product("nt", rows, columns, outputs, arithmetic=arithmetic)
        return work(
            [product], values={"gather": rows * columns}, repeats={"operation": 4}, corrected=corrected
        )

    def _affine_rest(self, rows: float, part: Part = "forward") -> Work:
        """The columns beside the window, and the bias."""
        if not self.rest:
            return Work()
        if part == "backward":
            gradient = Product("tn", self.outputs, rows, self.rest, arithmetic="exact")
            return work([gradient], values={"copy": 0.5 * rows * self.outputs})
        return work([Product("nt", rows, self.rest, self.outputs, arithmetic="exact")])

    def _convolution(self, way: Way, blocks: float, samples: float, direction: Part, part: Part) -> Work:
        """One pass in chunks of outputs, as worker/ppo/convolution.py does it."""
        features, lookback = self.windows.features, self.windows.lookback
        _, frequencies = self._points(way.block)
        width = chunk_width(self.outputs, round(2 * frequencies * (features + blocks)), self.device_type)
        chunks = self.outputs / width
        layout: Layout = "nn" if direction == "forward" else "tn"
        taps = self._transform(layout, frequencies, lookback, features * width)
        rows = self._transform(layout, frequencies, way.block, blocks * width, synthesis=True)
        left, right = (blocks, features) if direction == "forward" else (features, blocks)
        spectra = Product("batched", 2 * left, 2 * right, width, frequencies, arithmetic="exact")
        folded = 3.5 * lookback * features * width
        if direction == "forward":
            values = {"copy": folded + 3 * samples * width, "gather": 2 * samples * width}
        else:
            cleared = 0.5 * way.block * blocks * width
            values = {"copy": folded + cleared + 2 * samples * width, "scatter": 2 * samples * width}
        chunk = work([*taps, *rows, spectra], values=values, repeats={"operation": CONVOLUTION_CALLS})
        corrected = Corrected("convolution", part, self.outputs, self.config.minibatch_size)
        whole = chunk.times(chunks)
        return Work(whole.products, whole.values, whole.repeats, corrected)

    def _transform(
        self, layout: Layout, frequencies: int, length: int, columns: float, *, synthesis: bool = False
    ) -> list[Product]:
        """Even and odd half of a transform between `length` places and the frequencies."""
        halves = ((length + 1) // 2, length // 2)
        # Forward: taps -> frequencies, frequencies -> rows; backward the transposes.
        outward = synthesis == (layout == "nn")
        sizes = [(half, frequencies) if outward else (frequencies, half) for half in halves if half]
        return [Product(layout, rows, inner, columns, arithmetic="exact") for rows, inner in sizes]

    def _added(self) -> Work:
        """Rows added to the table where episodes begin anew: a CPU adds them as it sees them."""
        if self.device_type != "cpu" or not self.restarts:
            return Work()
        ahead = self.config.num_steps / 2
        additions = self.restarts * math.ceil(ahead / ADDED_ROWS)
        rows = min(float(ADDED_ROWS), ahead + 1)
        held = self._distinct(self.config.num_envs * (self.config.num_steps + 1))
        return _join(
            self._written(rows, None, exact=True).times(additions),
            work(values={"copy": additions * held * self.outputs}),
        )

    def _distinct(self, samples: float) -> float:
        rows = self.windows.rows
        return float(rows) if self.device_type != "cpu" else rows * -math.expm1(-samples / rows)

    def _learning_blocks(self, block: int) -> float:
        """Blocks of the rollout's rows; an episode that begins anew cuts an environment's stretch."""
        stretches = max(1, round(self.config.num_envs + self.restarts))
        steps = max(1, round(self.config.batch_size / stretches))
        return self._blocks(block, steps, stretches)

    def _blocks(self, block: int, steps: int, stretches: int) -> float:
        if self.device_type != "cpu":
            return math.ceil(self.windows.rows / block) + self.windows.ranges - 1
        return expected_blocks(self.windows.rows, stretches, steps, block)

    def _points(self, block: int) -> tuple[int, int]:
        """Points of a block's transform, and its frequencies."""
        points = block + self.windows.lookback - 1
        return points, points // 2 + 1


@dataclass(frozen=True, slots=True)
class WholeLayer:
    """The first layer of a run whose observations are written out whole."""

    config: PPOConfig
    obs_dim: int

    @property
    def outputs(self) -> int:
        """H of all trunks together."""
        return self.config.hidden_dims[0] * (1 if self.config.shared_trunk else 2)

    def ahead(self) -> Work:
        """Nothing is computed ahead."""
        return Work()

    def acting(self) -> Work:
        """Each step's observations built and multiplied."""
        steps, envs = self.config.num_steps + 1, self.config.num_envs
        product = Product("nt", envs, self.obs_dim, self.outputs)
        return work([product], values={"gather": envs * self.obs_dim}).times(steps)

    def prepare(self) -> Work:
        """Nothing is shared among minibatches."""
        return Work()

    def forward(self) -> Work:
        """One minibatch's observations built and multiplied."""
        batch = self.config.minibatch_size
        return work(
            [Product("nt", batch, self.obs_dim, self.outputs)],
            values={"gather": float(batch * self.obs_dim)},
            corrected=Corrected("direct", "forward", self.outputs, batch),
        )

    def backward(self) -> Work:
        """The weights' gradient; the observation needs none."""
        batch = self.config.minibatch_size
        corrected = Corrected("direct", "backward", self.outputs, batch)
        return work([Product("tn", self.outputs, batch, self.obs_dim)], corrected=corrected)


FirstLayerWorks = WindowedLayer | WholeLayer


def _join(first: Work, *others: Work) -> Work:
    """All works as one; the first one's correction holds for all."""
    every = (first, *others)
    return Work(
        tuple(product for each in every for product in each.products),
        tuple(value for each in every for value in each.values),
        tuple(repeat for each in every for repeat in each.repeats),
        next((each.corrected for each in every if each.corrected), None),
    )
