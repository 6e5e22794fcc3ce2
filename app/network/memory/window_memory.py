"""What the first layer's products over windows hold: for the whole run, for a rollout, for a minibatch.

The same tensors as in worker/ppo/window_source.py, convolution.py, block_spectrum.py and row_table.py. On CUDA
all sizes follow from the configuration, as tables and blocks cover every row there. On a CPU they cover the
rows that were seen, which only the run knows: here as many as there can be.

Notation: L lookback, F features, M = L·F columns, H outputs, U rows, S blocks of b rows, Q frequencies.
"""

import math
from dataclasses import dataclass

from app.network.first_layer import (
    CHUNK_BYTES,
    NARROWEST_CHUNK,
    FirstLayerPlan,
    FirstLayerWork,
    Way,
    chunk_width,
)
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.update_plan import FLOAT

INDEX = 8
"""Bytes of a row's number."""

CONVOLUTION_TENSORS = 12
"""Tensors that a convolution keeps: each may fill its last block only in part."""

DIRECT = Way("direct")

ROWS_WRITTEN = 1024
"""Windows that a rollout's table writes out at once (worker/ppo/window_source.py)."""


@dataclass(frozen=True, slots=True)
class FirstLayerBytes:
    """What one minibatch's products of windows take."""

    held: int = 0
    """From the minibatch's start to its end: windows written out, or the samples' places."""
    forward: int = 0
    """While the products are computed, beside their result."""
    backward: int = 0
    """While the weights' gradient is computed, beside itself."""


@dataclass(frozen=True, slots=True)
class WindowMemory:
    """The first layer of one run: its work, the ways that were chosen for it, and the bytes of a window's value."""

    work: FirstLayerWork
    plan: FirstLayerPlan
    num_steps: int
    restarts: int
    """How often an environment may begin a new episode within a rollout."""
    item: int = FLOAT
    """2 under bf16, where windows that are written out are bf16."""
    shared_trunk: bool = True
    rest: int = 0
    """Columns of an observation that are no window's."""

    @property
    def run(self) -> int:
        """What lasts from update to update."""
        tables = 0 if self.plan.rollout.method == "direct" else self._places(tables=1)
        lasting = sum(blocks(part) for way in self._sources for part in self._lasting(way))
        return tables + self._joined_weights + lasting

    def minibatch(self, rows: int) -> FirstLayerBytes:
        """What a minibatch of this many samples takes beside."""
        way = self.plan.minibatch
        if way.method == "convolution":
            return self._convolved(way, rows)
        return self._written(way, rows)

    @property
    def table(self) -> int:
        """The products of all rows of a rollout."""
        if self.plan.rollout.method == "direct":
            return 0
        return blocks(FLOAT * self._rows_ahead(1 + self.restarts) * self.work.outputs)

    @property
    def making(self) -> int:
        """What else it takes to compute the table."""
        if self.plan.rollout.method == "direct":
            return 0
        rows = self._rows_ahead(1)
        foreseen = blocks(INDEX * rows) if self._counts_rows else 0
        if self.plan.rollout.method == "convolution":
            return foreseen + self._convolved(self.plan.rollout, rows).forward + 20 * rows
        some = min(rows, ROWS_WRITTEN)
        written = self._written(DIRECT, some)
        return foreseen + written.held + max(written.forward, blocks(INDEX * some))

    @property
    def building(self) -> int:
        """On a card, where spectra are made but once: while that happens, before there are workspaces."""
        made = sum(sum(self.convolution_bytes(way.block)[1:]) for way in self._sources if way.block)
        return 0 if self._counts_rows else made + self._transforming_most

    @property
    def preparing(self) -> int:
        """On a CPU, before each rollout: a series' blocks written out, and their spectrum's two parts."""
        return self._transforming_most if self._counts_rows else 0

    def looking(self, rows: int) -> int:
        """Beside their first layer's outputs: windows written out, or products taken from the table."""
        if self.plan.rollout.method == "direct":
            written = self._written(self.plan.rollout, rows)
            return written.held + max(written.forward, blocks(INDEX * rows))
        # Rows that were not foreseen are added to a copy; elsewhere than on a CPU there are none.
        added = self.table if self._counts_rows else 0
        return added + blocks(INDEX * rows) + blocks(FLOAT * rows * self.work.outputs)

    @property
    def _transforming_most(self) -> int:
        return max(self._transforming(way.block) if way.block else 0 for way in self._sources)

    @property
    def _sources(self) -> tuple[Way, ...]:
        """What windows come from, rollout's and minibatches': one where they share it. Rows of a table are distinct already."""
        rollout, minibatch = self.plan.rollout, self.plan.minibatch
        if rollout.method == "table":
            return DIRECT, minibatch
        return (minibatch,) if rollout == minibatch else (rollout, minibatch)

    @property
    def _counts_rows(self) -> bool:
        """On a CPU rows and blocks are counted as they are needed."""
        return self.work.device_type == "cpu"

    @property
    def _series_rows(self) -> int:
        windows = self.work.windows
        return windows.series_rows or 2 * (windows.rows + windows.lookback)

    @property
    def _joined_weights(self) -> int:
        """Two trunks' first layers as one, as the rollout reads them; kept until the next."""
        of_output = FLOAT * self.work.outputs
        size = blocks(of_output * (self.work.windows.columns + self.rest)) + blocks(of_output)
        return 0 if self.shared_trunk else size

    def _rows_ahead(self, times: int) -> int:
        """Rows that environments may pass within a rollout."""
        everywhere = self.work.windows.rows
        return (
            min(everywhere, times * self.work.num_envs * (self.num_steps + 1))
            if self._counts_rows
            else everywhere
        )

    def _distinct(self, rows: int) -> int:
        return min(rows, self.work.windows.rows) if self._counts_rows else self.work.windows.rows

    def _places(self, tables: int) -> int:
        """Where each row of the series stands in a table, and whether a window may end with it."""
        of_series = blocks(INDEX * self._series_rows) + blocks(self._series_rows)
        return tables * of_series + blocks(INDEX * self.work.windows.rows)

    def _lasting(self, way: Way) -> tuple[int, ...]:
        """Bytes of the tensors that a way keeps."""
        windows = self.work.windows
        if way.method == "convolution":
            return (*self.convolution_bytes(way.block), CONVOLUTION_TENSORS * BLOCK)
        series = self.item * self._series_rows * windows.features if self.item != FLOAT else 0
        if way.method == "direct" or self._counts_rows:
            return (series,)
        return (series, self.item * windows.rows * windows.columns, INDEX * self._series_rows)

    def _written(self, way: Way, rows: int) -> FirstLayerBytes:
        """Windows written out, for each sample or each distinct row."""
        work, item, weight = self.work, self.item, self.item * self.work.outputs * self.work.windows.columns
        narrow = item != FLOAT
        if way.method == "direct":
            held = blocks(item * rows * work.windows.columns)
            product = item * rows * work.outputs
            return FirstLayerBytes(held, weight + product if narrow else 0, weight + product if narrow else 0)
        distinct = self._distinct(rows)
        own = blocks(item * distinct * work.windows.columns) if self._counts_rows else 0
        product, taken = blocks(item * distinct * work.outputs), blocks(item * rows * work.outputs)
        summed = FLOAT * distinct * work.outputs
        return FirstLayerBytes(
            own + blocks(INDEX * rows),
            product + taken + (weight if narrow else 0),
            summed + (product + weight if narrow else 0),
        )

    def _convolved(self, way: Way, rows: int) -> FirstLayerBytes:
        """Places of the samples; copies of chunks of outputs in and out of the workspace."""
        widths = [width for width, _ in self._chunks(way.block)]
        columns = FLOAT * self.work.windows.columns * max(widths)
        # Several chunks are copied out of the gradient first; a single one is the gradient itself.
        back = max(width * (2 if width < self.work.outputs else 1) for width in widths)
        held = 2 * blocks(INDEX * rows) + blocks(FLOAT * rows)
        forward = max(FLOAT * rows * max(widths), columns // 2 + 1)
        return FirstLayerBytes(held, forward, max(FLOAT * rows * back, columns))

    def convolution_bytes(self, block: int) -> tuple[int, int, int]:
        """Bytes of a convolution's workspace, of the series' spectrum, and of the transforms with all places."""
        windows, chunks = self.work.windows, self._chunks(block)
        points, count = block + windows.lookback - 1, self._most_blocks(block)
        frequencies = points // 2 + 1
        # A buffer stays as large as it ever was: those of the weights from when outputs were taken most at a time.
        of_weights = (
            max(width for width, _ in chunks) * 2 * (frequencies * windows.features + windows.columns)
        )
        of_blocks = max(width * held for width, held in chunks) * (2 * frequencies + block)
        spectrum = 4 * frequencies * count * windows.features
        transforms = frequencies * (windows.lookback + block + 2 * points)
        places = (INDEX + FLOAT) * (self._series_rows + 1)
        return FLOAT * (of_weights + of_blocks), FLOAT * spectrum, FLOAT * transforms + places

    def _transforming(self, block: int) -> int:
        windows, count = self.work.windows, self._most_blocks(block)
        points = block + windows.lookback - 1
        parts = FLOAT * count * windows.features * (points + 2 * (points // 2 + 1))
        return blocks(parts) + blocks(INDEX * count * points)

    def _chunks(self, block: int) -> list[tuple[int, int]]:
        """How many outputs are computed at a time, each with the most blocks at which they are: the fewer, the wider."""
        most = self._most_blocks(block)
        if not self._counts_rows:
            return [(self._width(block, most), most)]
        parts = range(1, math.ceil(self.work.outputs / NARROWEST_CHUNK))
        ends = {most, *(min(most, max(1, self._blocks_in_parts(block, part))) for part in parts)}
        return [(self._width(block, count), count) for count in sorted(ends)]

    def _width(self, block: int, count: int) -> int:
        """Outputs that are computed at a time with this many blocks."""
        spectra = self._per_block(block) * (self.work.windows.features + count)
        return min(self.work.outputs, chunk_width(self.work.outputs, spectra, self.work.device_type))

    def _blocks_in_parts(self, block: int, parts: int) -> int:
        """Most blocks with which `first_layer.chunk_width` cuts the outputs into no more parts than these."""
        allowed = CHUNK_BYTES[self.work.device_type] // math.ceil(self.work.outputs / parts)
        return allowed // (FLOAT * self._per_block(block)) - self.work.windows.features

    def _per_block(self, block: int) -> int:
        """Values of a block's spectrum, real and imaginary."""
        return 2 * ((block + self.work.windows.lookback - 1) // 2 + 1)

    def _most_blocks(self, block: int) -> int:
        """Blocks that cover all rows, or on a CPU those that the environments may pass in a rollout."""
        windows, steps = self.work.windows, self.num_steps
        everywhere = math.ceil(windows.rows / block) + windows.ranges - 1
        if not self._counts_rows:
            return everywhere
        # A stretch of n rows takes ceil(n / b) blocks; each new episode begins one more stretch.
        learning = (steps + (1 + self.restarts) * (block - 1)) // block
        return min(everywhere, self.work.num_envs * max(learning, math.ceil((steps + 1) / block)))
