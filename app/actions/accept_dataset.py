"""Take an uploaded file of bars: validate it, keep its canonical form, register it."""

from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from app.access import LOCAL, Caller
from app.actions.check_dataset import check_dataset
from app.actions.check_quota import check_upload_quota
from app.market.bars import Bars
from app.market.chart import draw_chart
from app.market.declarations import Declarations
from app.market.report import describe_bars
from app.registry.database import Database, new_id
from app.registry.datasets import add_dataset, find_twin
from app.registry.tables import Dataset
from app.settings import Settings
from app.storage import Storage, hash_file

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def accept_dataset(  # noqa: PLR0913 - the service's three parts come first
    database: Database,
    storage: Storage,
    settings: Settings,
    upload: BinaryIO,
    *,
    name: str,
    declarations: Declarations,
    source: str = "",
    licence: str = "",
    caller: Caller = LOCAL,
) -> Dataset:
    """Register the bars of an upload; the same bars under the same name give the dataset that is there.

    Raises InvalidDataset with every finding, LimitExceeded for a file that is too large, QuotaExceeded (the caller's).
    """
    bars = check_dataset(storage, settings, upload, declarations)
    with database.read() as session:
        twin = find_twin(session, name, bars.sha256, caller.key_id)
    if twin is not None:
        return twin
    with storage.receive() as canonical:
        bars.write(canonical)
        stored = hash_file(canonical)
        with database.read() as session:  # before the bytes are kept; again where the row is added
            check_upload_quota(session, settings, caller.key_id, stored.bytes)
        storage.adopt(canonical, stored)
    row = _describe(bars, name, stored.sha256)
    row.source, row.licence, row.bytes, row.key_id = source, licence, stored.bytes, caller.key_id
    with database.write() as session:
        check_upload_quota(session, settings, caller.key_id, stored.bytes)
        return add_dataset(session, row)


def _describe(bars: Bars, name: str, file_sha256: str) -> Dataset:
    first, last = int(bars.utc_us[0]), int(bars.utc_us[-1])
    return Dataset(
        id=new_id("dataset"),
        name=name,
        sha256=bars.sha256,
        file_sha256=file_sha256,
        rows=len(bars),
        bar_seconds=bars.bar_seconds,
        starts_at=EPOCH + timedelta(microseconds=first),
        ends_at=EPOCH + timedelta(microseconds=last),
        declarations=bars.declarations.plain(),
        report=describe_bars(bars).plain(),
        chart_svg=draw_chart(bars, name),
    )
