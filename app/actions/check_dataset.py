"""Read an uploaded file of bars as the service would, and keep nothing."""

from typing import BinaryIO

from app.market.bars import Bars, read_bars
from app.market.declarations import BarLimits, Declarations
from app.settings import Settings
from app.storage import Storage


def check_dataset(storage: Storage, settings: Settings, upload: BinaryIO, declarations: Declarations) -> Bars:
    """The validated bars of an upload.

    Raises InvalidDataset with every finding, LimitExceeded for a file that is too large.
    """
    limits = BarLimits(max_rows=settings.max_rows, max_bytes=settings.max_dataset_bytes)
    with storage.receive() as raw:
        storage.spool(upload, raw, limit=settings.max_dataset_bytes, limit_name="dataset bytes")
        return read_bars(raw, declarations, limits=limits)
