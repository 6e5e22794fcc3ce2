"""How a dataset is shown."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from app.market.report import DatasetReport
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """Validated bars."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Identifier; sorts by time of creation."""
    name: str
    """The name it was given; jobs may use it, and then take the newest of this name."""
    rows: int
    """Number of bars."""
    bar_seconds: int
    """Length of a bar in seconds."""
    starts_at: datetime
    """Time of the first bar."""
    ends_at: datetime
    """Time of the last bar."""
    sha256: str
    """The dataset's version: hash of all values and of what was declared about them, whatever file they came in."""
    file_sha256: str
    """Hash of the canonical Parquet file's bytes."""
    declarations: dict[str, Any]
    """What was declared about the file, and what was found where nothing was declared."""
    report: DatasetReport
    """Segments, gaps, jumps, volume, prices, and warnings with row numbers."""
    chart: str
    """Path of the price chart, an SVG image."""
    source: str
    """Where the bars come from."""
    licence: str
    """What may be done with them."""
    created_at: datetime
    """When it was accepted."""
