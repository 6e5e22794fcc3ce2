"""What is asked about bars."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.client.answers import DatasetCheck, DatasetView, Page, SplitReport
from app.client.calls.call import Call, OnProgress, get, given, path_of


def upload_dataset(
    file: Path, fields: Mapping[str, Any], on_progress: OnProgress | None = None
) -> Call[DatasetView]:
    """Send bars with their name and what is declared about them."""
    form, files = given(fields), {"file": file}
    return Call(method="POST", path="/datasets", form=form, files=files, on_progress=on_progress)


def dataset(id_or_name: str) -> Call[DatasetView]:
    """One dataset."""
    return get(path_of("datasets", id_or_name))


def dataset_chart(id_or_name: str) -> Call[str]:
    """A dataset's price chart."""
    return get(path_of("datasets", id_or_name, "chart.svg"))


def delete_dataset(id_or_name: str) -> Call[None]:
    """Hide a dataset from new jobs."""
    return Call(method="DELETE", path=path_of("datasets", id_or_name))


def check_dataset(file: Path, fields: Mapping[str, Any]) -> Call[DatasetCheck]:
    """Read bars as an upload would be read, and keep nothing."""
    return Call(method="POST", path="/datasets/check", form=given(fields), files={"file": file})


def splits(id_or_name: str, lookback: int | None = None, folds: int | None = None) -> Call[SplitReport]:
    """A dataset's training, validation and test spans."""
    return get(path_of("datasets", id_or_name, "splits"), lookback=lookback, folds=folds)


def datasets(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[DatasetView]]:
    """A page of datasets."""
    return get("/datasets", **filters, cursor=cursor)
