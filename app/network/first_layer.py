"""How the first layer over windows is computed: a cost model that chooses among three exact ways.

- direct: each sample's window is written out and multiplied.
- table: each distinct window is written out and multiplied once.
- convolution: blocks of neighbouring windows are multiplied in the frequency domain
  (worker/ppo/window_basis.py), whatever the number of samples that share them.

The choice is a plain function of configuration, network, windows and kind of device: the same run chooses the
same everywhere, so that a resumed one goes on bit by bit. `benchmarks/first_layer.py` holds it against
the clock.

Notation: L lookback, F features, H outputs, B samples, U distinct rows, S blocks of b rows, M frequencies.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from app.errors import InvalidConfig
from app.network.config import SHARES_WINDOWS, FirstLayerMethod, PPOConfig

FLOAT = 4


@dataclass(frozen=True, slots=True)
class WindowGeometry:
    """What there is to see: windows of `lookback` rows that may end with any of `rows` rows."""

    lookback: int
    features: int
    rows: int
    """Rows that a window may end with."""
    ranges: int = 1
    """Stretches that these rows form."""
    series_rows: int = 0
    """Rows of the series in all; 0 where that is not known."""
    shortest: int = 0
    """Rows of the shortest stretch, where episodes end though they are not at their full length; 0 where that is not known."""

    @property
    def columns(self) -> int:
        """Values of a window."""
        return self.lookback * self.features


@dataclass(frozen=True, slots=True)
class Way:
    """One way to compute the products of a batch's windows."""

    method: Literal["direct", "table", "convolution"]
    block: int = 0
    """Rows of a block, odd; 0 but for the convolution."""

    def __str__(self) -> str:
        return f"convolution in blocks of {self.block} rows" if self.block else self.method


@dataclass(frozen=True, slots=True)
class FirstLayerPlan:
    """How a run computes its first layer, and why."""

    rollout: Way
    minibatch: Way
    reason: str


@dataclass(frozen=True, slots=True)
class Rates:
    """What a kind of device does in a second, as far as the ways differ in it.

    The choice depends on their ratios only.
    """

    product: float
    """FLOP/s of large matrix products, and of the blocks' products."""
    transform: float
    """FLOP/s of the weights' and the outputs' transforms: flatter matrices."""
    copy: float
    """Bytes per second, read and written, of gathering and adding."""
    call: float
    """Seconds that an operation costs whatever its size."""


RATES = {
    # Measured on 2 vCPU AMD EPYC, shared virtual machine (docs/decisions/0014).
    "cpu": Rates(product=150e9, transform=130e9, copy=16e9, call=6e-6),
    # An H200's data sheet at half its peak, not measured.
    "cuda": Rates(product=200e12, transform=100e12, copy=2e12, call=6e-6),
}

BLOCKS = (9, 17, 33, 49, 65, 97, 129, 193, 257, 385, 513)
"""Block lengths that are tried, beside those that the rollout's length divides into."""

TABLE_BYTES = 2**31
"""Most bytes of windows that a table may write out."""

DRAWN_ENVS = 2048
"""Most environments that are drawn to find out how far their rows overlap."""


@dataclass(frozen=True, slots=True)
class FirstLayerWork:
    """The first layer's work in one run."""

    windows: WindowGeometry
    outputs: int
    """H of all trunks together."""
    num_envs: int
    num_steps: int
    minibatch_size: int
    device_type: str

    @classmethod
    def of(cls, config: PPOConfig, windows: WindowGeometry, device_type: str) -> "FirstLayerWork":
        """The work of a run under this configuration."""
        outputs = config.hidden_dims[0] * (1 if config.shared_trunk else 2)
        return cls(windows, outputs, config.num_envs, config.num_steps, config.minibatch_size, device_type)

    def minibatch_seconds(self, way: Way) -> float:
        """Seconds of one minibatch's products and their gradient."""
        batch = self.minibatch_size
        if way.method == "convolution":
            return 2 * self._convolution(way.block, self._blocks(way.block, self.num_steps), batch)
        if way.method == "direct":
            return 2 * self._products(batch) + self._gather(batch)
        rows = self._distinct(batch)
        shared = 3 * self._copy(batch * self.outputs) + 3 * self._copy(rows * self.outputs)
        return 2 * self._products(rows) + self._gather(rows) + shared + self._find(batch)

    def rollout_seconds(self, way: Way) -> float:
        """Seconds of one rollout's products."""
        samples, steps = self.num_envs * (self.num_steps + 1), self.num_steps + 1
        if way.method == "direct":
            # Each step reads all weights again, however few the samples.
            reading = FLOAT * self.windows.columns * self.outputs / self._rates.copy
            step = max(self._products(self.num_envs), reading) + self._gather(self.num_envs)
            return steps * (step + 2 * self._rates.call)
        taken = self._copy(samples * self.outputs) + steps * 4 * self._rates.call + self._find(samples)
        if way.method == "convolution":
            rows = self._blocks(way.block, steps) * way.block
            return self._convolution(way.block, self._blocks(way.block, steps), rows) + taken
        rows = self._distinct(samples)
        return self._products(rows) + self._gather(rows) + taken

    def ways(self) -> Iterator[Way]:
        """All ways that fit."""
        yield Way("direct")
        if self._table_bytes <= TABLE_BYTES:
            yield Way("table")
        for block in self._block_lengths():
            if block <= self.windows.rows | 1:
                yield Way("convolution", block)

    def refuse(self, method: str) -> InvalidConfig:
        """What to raise where no way of this method fits."""
        if method == "table":
            why = f"a table's windows take {self._table_bytes:,.0f} bytes, and may take {TABLE_BYTES:,}"
        else:
            why = f"windows end with {self.windows.rows:,} rows, and the shortest block has {self._block_lengths()[0]:,}"
        others = " or ".join(name for name in ("direct", "table", "convolution") if name != method)
        hint = f"auto, or {others} where that fits"
        return InvalidConfig(f"first_layer is {method!r}, but {why}", hint=hint, pointer="first_layer")

    @property
    def _table_bytes(self) -> float:
        return FLOAT * self.windows.columns * self._distinct(self.minibatch_size)

    def _block_lengths(self) -> list[int]:
        """Odd lengths, those that the rollout's length divides into among them, shortest first."""
        parts = {math.ceil((self.num_steps + 2 * ahead) / k) | 1 for k in (1, 2, 3, 4) for ahead in (0, 1)}
        return sorted(block for block in parts.union(BLOCKS) if block <= BLOCKS[-1])

    def _distinct(self, samples: int) -> float:
        """Expected distinct rows among samples whose rows lie anywhere."""
        rows = self.windows.rows
        if self.device_type != "cpu":
            return rows  # not counted there: the table holds them all
        return rows * -math.expm1(-samples / rows)

    def _blocks(self, block: int, steps: int) -> float:
        if self.device_type != "cpu":
            return math.ceil(self.windows.rows / block) + self.windows.ranges - 1
        return expected_blocks(self.windows.rows, self.num_envs, steps, block)

    def _convolution(self, block: int, blocks: float, samples: float) -> float:
        """Seconds of one pass; the gradient's is the same."""
        lookback, features, outputs = self.windows.lookback, self.windows.features, self.outputs
        frequencies = (block + lookback - 1) // 2 + 1
        weights = 2 * frequencies * lookback * features * outputs
        products = 8 * frequencies * blocks * features * outputs
        rows = 2 * block * frequencies * blocks * outputs
        arithmetic = (weights + rows) / self._rates.transform + products / self._rates.product
        moved = 4 * lookback * features + block * blocks + 3 * samples
        # Written by one product, read by the next.
        passed = 2 * frequencies * (2 * features + 2 * blocks)
        calls = 16 * self._rates.call
        return arithmetic + self._copy(moved * outputs) + 0.3 * self._copy(passed * outputs) + calls

    def _products(self, rows: float) -> float:
        flops = 2 * rows * self.windows.columns * self.outputs
        return flops / self._rates.product + self._rates.call

    def _gather(self, rows: float) -> float:
        return self._copy(rows * self.windows.columns) + self._rates.call

    def _find(self, samples: int) -> float:
        """Sorting samples by their rows."""
        return 60e-9 * samples if self.device_type == "cpu" else 0.0

    def _copy(self, values: float) -> float:
        return 2 * FLOAT * values / self._rates.copy

    @property
    def _rates(self) -> Rates:
        return RATES.get(self.device_type, RATES["cuda"])


CHUNK_BYTES = {"cpu": 24 * 2**20, "cuda": 2**30}
"""Most bytes of spectra, of weights and products, in work at once. Beyond it a CPU's products slow down, by up to a half
(docs/decisions/0014): their rows no longer lie in its cache."""

NARROWEST_CHUNK = 64


def chunk_width(outputs: int, spectra: int, device_type: str) -> int:
    """How many outputs a convolution computes at a time: chunks of about one size, multiples of 16.

    `spectra` counts the values of each output's weights' and products' spectra.
    """
    per_output = FLOAT * spectra
    allowed = max(NARROWEST_CHUNK, CHUNK_BYTES.get(device_type, 2**30) // per_output)
    chunks = math.ceil(outputs / allowed)
    return math.ceil(outputs / chunks / 16) * 16


def plan_first_layer(config: PPOConfig, windows: WindowGeometry, device_type: str) -> FirstLayerPlan:
    """Choose the fastest ways by the model, or those of the method that the configuration names.

    Raises InvalidConfig where that cannot be: a table that is too large, a series shorter than any block.
    """
    return choose_ways(FirstLayerWork.of(config, windows, device_type), config.first_layer)


@lru_cache(maxsize=1024)
def choose_ways(work: FirstLayerWork, first_layer: FirstLayerMethod) -> FirstLayerPlan:
    """The same for work that is known, such as with minibatches of another size than the configuration's."""
    ways = [way for way in work.ways() if first_layer in ("auto", way.method)]
    if not ways:
        raise work.refuse(first_layer)
    rollout = _fastest(ways, work.rollout_seconds)
    minibatch = _fastest(ways, work.minibatch_seconds)
    if first_layer != "auto":
        return FirstLayerPlan(rollout, minibatch, f"your choice: {first_layer}")
    direct = Way("direct")
    return FirstLayerPlan(
        rollout,
        minibatch,
        f"rollout by {rollout} ({_compare(work.rollout_seconds(direct), work.rollout_seconds(rollout))}), "
        f"minibatches by {minibatch} "
        f"({_compare(work.minibatch_seconds(direct), work.minibatch_seconds(minibatch))})",
    )


def suit_device(config: PPOConfig, windows: WindowGeometry | None, device_type: str) -> PPOConfig:
    """The configuration as a run on another kind of device could have it: by `auto` where its own way cannot be there."""
    if windows is None or config.first_layer not in SHARES_WINDOWS:
        return config
    try:
        plan_first_layer(config, windows, device_type)
    except InvalidConfig:
        return replace(config, first_layer="auto")
    return config


CONVOLUTION_GAINS = 0.91
"""The convolution is taken where the model says that it takes at most this share of the others' time: nearer to
them the model cannot tell (docs/decisions/0014), and they are the plainer arithmetic."""


def _fastest(ways: Sequence[Way], seconds: Callable[[Way], float]) -> Way:
    return min(ways, key=lambda way: seconds(way) * (1.0 if way.block else CONVOLUTION_GAINS))


def _compare(direct: float, chosen: float) -> str:
    return f"{1e3 * chosen:.2f} ms by the model, direct {1e3 * direct:.2f} ms"


@lru_cache(maxsize=4096)
def expected_blocks(rows: int, num_envs: int, steps: int, block: int) -> float:
    """Blocks that cover `steps` rows from each environment's on, with starts drawn anywhere in `rows`."""
    drawn = min(num_envs, DRAWN_ENVS)
    if num_envs * steps >= 8 * rows:
        return math.ceil(rows / block)
    # Fewer environments on proportionally fewer rows overlap as much.
    share = drawn / num_envs
    stretch = max(steps, round(rows * share))
    draw = random.Random(1)
    starts = sorted(int(draw.random() * (stretch - steps + 1)) for _ in range(drawn))
    count, covered = 0, -1
    for start in starts:
        missing = start + steps - 1 - max(covered, start - 1)
        if missing > 0:
            added = -(-missing // block)
            count += added
            covered = max(covered, start - 1) + added * block
    return count / share
