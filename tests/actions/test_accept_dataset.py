"""Uploading bars: validated, canonical, kept once."""

import io
from pathlib import Path

import pytest
from factories import DAILY_EQUITY, GOOGL, upload_googl

from app.actions.accept_dataset import accept_dataset
from app.errors import InvalidDataset, LimitExceeded
from app.market.bars import load_bars
from app.market.declarations import Declarations
from app.registry.database import Database
from app.registry.datasets import list_datasets
from app.settings import Settings
from app.storage import FolderStorage


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_shipped_bars_are_registered_with_their_report(
    registry: Database, storage: FolderStorage, settings: Settings
) -> None:
    row = upload_googl(registry, storage, settings)
    assert (row.rows, row.bar_seconds) == (2335, 86_400)
    assert (row.starts_at.isoformat()[:10], row.ends_at.isoformat()[:10]) == ("2009-05-22", "2018-08-29")
    assert row.report["segments"] == [[0, 2335]]
    bars = load_bars(storage.path(row.file_sha256))
    assert bars.sha256 == row.sha256


def test_the_same_bars_again_are_the_same_dataset(
    registry: Database, storage: FolderStorage, settings: Settings
) -> None:
    first = upload_googl(registry, storage, settings)
    assert upload_googl(registry, storage, settings).id == first.id
    assert upload_googl(registry, storage, settings, name="other").id != first.id
    assert len(files_in(storage.objects)) == 1


@pytest.mark.parametrize(
    ("content", "declarations", "code"),
    [
        (b"\x00\x01\x02 no table", DAILY_EQUITY, "E_"),
        (b"", DAILY_EQUITY, "E_"),
        (b"a,b\n1,2\n", DAILY_EQUITY, "E_COLUMNS"),
        (GOOGL.read_bytes(), Declarations(), "E_TZ_NAIVE"),
        (GOOGL.read_bytes()[:20_000], DAILY_EQUITY, "E_TOO_SHORT"),
    ],
)
def test_bad_bars_are_refused_with_findings_and_leave_nothing(
    registry: Database,
    storage: FolderStorage,
    settings: Settings,
    content: bytes,
    declarations: Declarations,
    code: str,
) -> None:
    with pytest.raises(InvalidDataset, match=code) as caught:
        accept_dataset(
            registry, storage, settings, io.BytesIO(content), name="bad", declarations=declarations
        )
    assert caught.value.problem()["findings"]
    with registry.read() as session:
        assert list_datasets(session, limit=9) == []
    assert files_in(settings.artifacts_dir) == []


def test_a_file_over_the_limit_is_not_read_to_its_end(
    registry: Database, storage: FolderStorage, settings: Settings
) -> None:
    small = settings.model_copy(update={"max_dataset_bytes": 1024})
    with GOOGL.open("rb") as file, pytest.raises(LimitExceeded, match="dataset bytes"):
        accept_dataset(registry, storage, small, file, name="big", declarations=DAILY_EQUITY)
    assert files_in(settings.artifacts_dir) == []
