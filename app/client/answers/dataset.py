"""What the service answers about bars."""

from typing import TypedDict

from app.client.answers.json import Json


class DatasetView(TypedDict):
    """A dataset of bars."""

    id: str
    name: str
    rows: int
    bar_seconds: int
    starts_at: str
    ends_at: str
    sha256: str
    file_sha256: str
    declarations: Json
    report: Json
    chart: str
    source: str
    licence: str
    created_at: str


class DatasetCheck(TypedDict):
    """Bars that the service would accept."""

    rows: int
    bar_seconds: int
    starts_at: str
    ends_at: str
    sha256: str
    declarations: Json
    report: Json
    chart_svg: str


class SplitReport(TypedDict):
    """The folds of a dataset."""

    lookback: int
    decisions: int
    folds: list[Json]
