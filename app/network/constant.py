"""A number that an answer rests on: its value, its unit, where it comes from, and on what basis."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.network.shape import DOCUMENTED

Basis = Literal["exact", "measured", "assumed"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that an estimate rests on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What it is."""
    value: int | float
    """The number."""
    unit: str
    """Its unit."""
    basis: Basis
    """`exact` by definition or by the source code of the version named; `measured` on a device or a run; `assumed`
    otherwise, on the cautious side."""
    source: str
    """Where it comes from."""
