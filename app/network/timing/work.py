"""What a part of training does, counted: matrix products, values read and written, and calls."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from app.network.timing.calibration import Layout, Part

FLOAT = 4

STREAM_BYTES = {
    "copy": 2 * FLOAT,
    "gather": 2 * FLOAT,
    "scatter": 3 * FLOAT,
    "layer_norm": 2 * FLOAT,
    "layer_norm_backward": 3 * FLOAT,
    "activation": 2 * FLOAT,
    "activation_backward": 3 * FLOAT,
    "adam": 10 * FLOAT,
}
"""Bytes read and written per value."""

Arithmetic = Literal["network", "windows", "exact"]
"""By whose precision a product is computed: the network's own, that of windows written out, or never below
tf32, as the convolution is."""


@dataclass(frozen=True, slots=True)
class Product:
    """[rows, inner] · [inner, columns], `batch` of them at once, `times` over."""

    layout: Layout
    rows: float
    inner: float
    columns: float
    batch: float = 1
    times: float = 1
    arithmetic: Arithmetic = "network"

    @property
    def flops(self) -> float:
        """A multiplication and an addition are two."""
        return 2 * self.rows * self.inner * self.columns * self.batch * self.times

    @property
    def bytes(self) -> float:
        """Both factors read, the product written, in fp32."""
        values = self.rows * self.inner + self.inner * self.columns + self.rows * self.columns
        return FLOAT * values * self.batch * self.times


@dataclass(frozen=True, slots=True)
class Values:
    """So many values passed through an operation of the calibration."""

    name: str
    """A stream of the calibration, `activation`, `activation_backward` or `adam`."""
    count: float
    size: int = 0
    """Values of one pass, where the speed depends on it: Adam's parameters."""

    @property
    def bytes(self) -> float:
        """Read and written."""
        return STREAM_BYTES[self.name] * self.count


@dataclass(frozen=True, slots=True)
class Repeats:
    """So many times a cost of the loop, by its name in `LoopCosts`."""

    name: str
    count: float


@dataclass(frozen=True, slots=True)
class Corrected:
    """Which measured correction applies to a work."""

    what: str
    part: Part
    width: int
    """Outputs of the first layer."""
    samples: int
    """Samples of the minibatch, or rows of the step."""


@dataclass(frozen=True, slots=True)
class Work:
    """Products, values and calls of one part."""

    products: tuple[Product, ...] = ()
    values: tuple[Values, ...] = ()
    repeats: tuple[Repeats, ...] = ()
    corrected: Corrected | None = None

    @property
    def flops(self) -> float:
        """Operations of the products."""
        return sum(product.flops for product in self.products)

    @property
    def bytes(self) -> float:
        """What is read and written."""
        return sum(each.bytes for each in self.products) + sum(each.bytes for each in self.values)

    def times(self, count: float) -> "Work":
        """The same work, `count` times over."""
        return Work(
            tuple(_repeat(product, count) for product in self.products),
            tuple(Values(item.name, item.count * count, item.size) for item in self.values),
            tuple(Repeats(item.name, item.count * count) for item in self.repeats),
            self.corrected,
        )


def work(
    products: Iterable[Product] = (),
    *,
    values: dict[str, float] | None = None,
    repeats: dict[str, float] | None = None,
    corrected: Corrected | None = None,
) -> Work:
    """Put a work together; `values` and `repeats` go by name."""
    return Work(
        tuple(products),
        tuple(Values(name, count) for name, count in (values or {}).items()),
        tuple(Repeats(name, count) for name, count in (repeats or {}).items()),
        corrected,
    )


def _repeat(product: Product, count: float) -> Product:
    return replace(product, times=product.times * count)
