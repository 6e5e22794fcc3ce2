"""The price chart of a dataset."""

from app.market.bars import load_bars
from app.market.chart import draw_chart
from app.registry.database import Database
from app.registry.datasets import find_dataset, keep_chart
from app.storage import Storage


def draw_dataset(database: Database, storage: Storage, id_or_name: str) -> str:
    """The chart as SVG, as drawn at the upload; for a dataset of an earlier release it is drawn and kept now.

    Raises NotFound.
    """
    with database.read() as session:
        dataset = find_dataset(session, id_or_name)
        if dataset.chart_svg is not None:
            return dataset.chart_svg
    with storage.local_copy(dataset.file_sha256) as path:
        chart = draw_chart(load_bars(path), dataset.name)
    with database.write() as session:
        keep_chart(session, dataset.id, chart)
    return chart
