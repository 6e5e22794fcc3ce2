"""Find the datasets that a job names, load their bars, and refuse what cannot be trained on together."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import InvalidConfig, InvalidInput, NotFound
from app.jobs.plan import PlannedDataset
from app.jobs.spec import JobSpec
from app.market.bars import Bars, load_bars
from app.market.joint_splits import choose_joint_fold
from app.market.lane_lengths import count_lanes
from app.market.schema import FeatureSchema, choose_features
from app.market.splits import window_ranges
from app.network.first_layer import WindowGeometry
from app.registry.database import Session
from app.registry.datasets import find_dataset
from app.registry.tables import Dataset
from app.storage import Storage


@dataclass(frozen=True, slots=True)
class Gathered:
    """A dataset's row and its bars."""

    row: Dataset
    bars: Bars

    @property
    def label(self) -> str:
        """How error messages call it."""
        return f"{self.row.name} ({self.row.id})"


def find_datasets(session: Session, spec: JobSpec) -> tuple[Dataset, ...]:
    """The rows that the spec names, in its order.

    Raises NotFound for an unknown one, InvalidConfig for one named twice or bars of different lengths.
    """
    rows: list[Dataset] = []
    for place, name in enumerate(spec.dataset_names):
        pointer = "dataset" if spec.datasets is None else f"datasets/{place}"
        row = _find(session, name, pointer)
        for earlier in rows:
            _check_pair(earlier, row, name, pointer)
        rows.append(row)
    return tuple(rows)


def load_datasets(storage: Storage, rows: Sequence[Dataset]) -> tuple[Gathered, ...]:
    """The rows with their bars, from the storage."""
    return tuple(Gathered(row, _load(storage, row)) for row in rows)


def choose_schema(spec: JobSpec, gathered: Sequence[Gathered]) -> tuple[FeatureSchema, dict[str, str]]:
    """One schema for all: where any dataset has no volume, volume features are masked in every one.

    Comes with the reason for what the user did not ask for. Raises InvalidInput as FeatureSchema does.
    """
    silent = [each.label for each in gathered if not each.bars.has_volume]
    schema = choose_features(spec.features, _shared_columns(spec, gathered), spec.lookback)
    schema = schema.mask_volume(has_volume=not silent)
    if len(gathered) == 1 or not schema.masked:
        return schema, {}
    reason = f"{', '.join(silent)} without volume: {len(schema.masked)} volume features are 0 in all datasets"
    return schema, {"masked": reason}


def plan_datasets(spec: JobSpec, gathered: Sequence[Gathered]) -> tuple[PlannedDataset, ...]:
    """Each dataset with the split of its own rows; raises InvalidDataset (E_TOO_SHORT) as `choose_joint_fold`."""
    bars = {each.label: each.bars for each in gathered}
    folds = choose_joint_fold(bars, spec.lookback, spec.folds, spec.fold)
    return tuple(
        PlannedDataset(row.id, row.name, row.sha256, row.rows, row.declarations, folds[each.label])
        for each in gathered
        if (row := each.row)
    )


def survey_windows(
    schema: FeatureSchema, gathered: Sequence[Gathered], planned: Sequence[PlannedDataset]
) -> WindowGeometry:
    """The windows that training on these datasets will see, gaps between bars and warm-ups left out."""
    rows = [
        stop - start
        for each, dataset in zip(gathered, planned, strict=True)
        for start, stop in window_ranges(each.bars.segments, dataset.fold.train, schema.lookback)
    ]
    series_rows = sum(len(each.bars) for each in gathered)
    return WindowGeometry(
        schema.lookback, len(schema.names), sum(rows), len(rows), series_rows, min(rows, default=0)
    )


def survey_lanes(
    schema: FeatureSchema, gathered: Sequence[Gathered], planned: Sequence[PlannedDataset]
) -> int:
    """Most lanes in which the evaluation of one of these datasets will walk."""
    return max(
        count_lanes(each.bars.segments, dataset.fold.spans().values(), schema.lookback)
        for each, dataset in zip(gathered, planned, strict=True)
    )


def _load(storage: Storage, row: Dataset) -> Bars:
    with storage.local_copy(row.file_sha256) as path:
        return load_bars(path)


def _shared_columns(spec: JobSpec, gathered: Sequence[Gathered]) -> tuple[str, ...]:
    """Own feature columns of every dataset; raises InvalidInput where one asked for is in some of them only."""
    columns = [tuple(each.bars.own_features) for each in gathered]
    for each in gathered:
        for name in spec.features or ():
            if any(name in held for held in columns) and name not in each.bars.own_features:
                hint = "upload it with this column, or leave the feature out"
                detail = f"{each.label} has no feature column {name!r}"
                raise InvalidInput(detail, hint=hint, pointer="features")
    return tuple(name for name in columns[0] if all(name in held for held in columns))


def _find(session: Session, name: str, pointer: str) -> Dataset:
    try:
        return find_dataset(session, name)
    except NotFound as error:
        raise NotFound(error.detail, hint=error.hint, pointer=pointer) from error


def _check_pair(earlier: Dataset, later: Dataset, name: str, pointer: str) -> None:
    if earlier.id == later.id or earlier.sha256 == later.sha256:
        same = "the same dataset" if earlier.id == later.id else "the same bars"
        detail = f"datasets: {name!r} is {same} as {earlier.name} ({earlier.id})"
        raise InvalidConfig(detail, hint="name each dataset once", pointer=pointer)
    if earlier.bar_seconds != later.bar_seconds:
        detail = (
            f"datasets: bars of {later.name} last {later.bar_seconds} s, those of {earlier.name} "
            f"{earlier.bar_seconds} s"
        )
        raise InvalidConfig(detail, hint="datasets of one job have bars of one length", pointer=pointer)
