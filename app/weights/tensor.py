"""The values of one tensor in order, block by block: of a plain storage and of a view with any strides."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import UnreadableCheckpoint
from app.weights.dtypes import Values, decoder, item_bytes
from app.weights.storages import Storages

BLOCK_VALUES = 1 << 17
"""Values that are held at once: 1 MiB as float64, and a handful of arrays of that size."""

WINDOW_BYTES = 64 << 20
"""Most bytes of a storage that are read for one block of a view."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as its report describes it, over the records of its file."""

    storages: Storages
    storage: str
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, storages: Storages, info: dict[str, Any]) -> "StoredTensor":
        """From a report's row as JSON. Raises UnreadableCheckpoint for values that lie in a pickle."""
        if not info["storage"]:
            raise UnreadableCheckpoint("its values lie within a pickle, not in a record of their own")
        shape, stride = tuple(info["shape"]), tuple(info["stride"])
        return cls(storages, info["storage"], info["dtype"], shape, stride, info["offset"])

    @property
    def count(self) -> int:
        """Values."""
        return math.prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether the values stand one after another; dimensions of one value do not matter."""
        expected, step = [], 1
        for size in reversed(self.shape):
            expected.append(step)
            step *= size
        pairs = zip(self.shape, self.stride, reversed(expected), strict=True)
        return all(size == 1 or stride == wanted for size, stride, wanted in pairs)

    def blocks(self) -> Iterator[Values]:
        """All values in order, as float64."""
        decode = decoder(self.dtype, self.storages.byteorder)
        width, contiguous = item_bytes(self.dtype), self.is_contiguous
        for start in range(0, self.count, BLOCK_VALUES):
            stop = min(start + BLOCK_VALUES, self.count)
            if contiguous:
                at = (self.offset + start) * width
                yield decode(self.storages.read(self.storage, at, (stop - start) * width))
            else:
                places = self._places(start, stop)
                yield self._gather(places, decode, width)

    def _places(self, start: int, stop: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Where in the storage the values start..stop-1 stand."""
        rest = np.arange(start, stop, dtype=np.int64)
        places = np.full(stop - start, self.offset, dtype=np.int64)
        for size, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            rest, index = np.divmod(rest, size)
            places += index * step
        return places

    def _gather(self, places: "np.ndarray[Any, np.dtype[np.int64]]", decode: Any, width: int) -> Values:
        """Values at scattered places, from the one stretch of the storage that holds them."""
        low, high = int(places.min()), int(places.max())
        length = (high - low + 1) * width
        if length > WINDOW_BYTES:
            raise UnreadableCheckpoint(
                f"it is a view whose values are strewn over {length:,} bytes, more than {WINDOW_BYTES:,} at once",
                hint="save it contiguous",
            )
        values: Values = decode(self.storages.read(self.storage, low * width, length))[places - low]
        return values
