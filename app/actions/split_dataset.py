"""The splits of a dataset, with dates."""

from app.market.bars import load_bars
from app.market.split_report import SplitReport, report_splits
from app.registry.database import Database
from app.registry.datasets import find_dataset
from app.storage import Storage


def split_dataset(
    database: Database, storage: Storage, id_or_name: str, *, lookback: int, folds: int | None
) -> SplitReport:
    """What a job on this dataset alone would train and be judged on.

    Raises NotFound, InvalidDataset (E_TOO_SHORT) where a span would be too short.
    """
    with database.read() as session:
        file_sha256 = find_dataset(session, id_or_name).file_sha256
    with storage.local_copy(file_sha256) as path:
        bars = load_bars(path)
    return report_splits(bars, lookback, folds)
