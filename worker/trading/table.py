"""The table of a market's features, filled and scaled in place: building it takes little more than it keeps.

Shape suffixes: T bars, F market features.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cached_property

import numpy as np

from app.market.bars import Bars
from app.market.calendars import IntArray
from app.market.features import Features, FeatureSchema, compute_features
from app.market.scaler import RobustScaler, scale_features
from app.market.schema import GROUPS
from app.market.splits import Span

ROWS_AT_ONCE = 2**14
"""Rows that are scaled at once, in float64."""


def fill_features(table_TF: Features, bars: Bars, schema: FeatureSchema) -> None:
    """Write `compute_features(bars, schema)` into a table, one group of indicators after the other."""
    bars = _TimedBars(**{item.name: getattr(bars, item.name) for item in fields(Bars)})
    for part in _parts(schema):
        columns = [schema.names.index(name) for name in part.names]
        table_TF[:, columns] = compute_features(bars, part)


def fit_scaler(table_TF: Features, train: Span) -> RobustScaler:
    """`RobustScaler.fit` on the rows of a training span, one feature after the other."""
    absent_T = np.concatenate([np.isnan(rows).any(axis=1) for rows in _blocks(table_TF)])
    fits = []
    for column in range(table_TF.shape[1]):
        values = table_TF[:, column : column + 1].copy()
        values[absent_T] = np.nan  # a row with any feature absent is left out for all
        fits.append(RobustScaler.fit(values, train.start, train.stop))
    centers, scales = ([getattr(fit, name)[0] for fit in fits] for name in ("center", "scale"))
    return RobustScaler(tuple(centers), tuple(scales))


def scale_table(table_TF: Features, scaler: RobustScaler | None) -> None:
    """Make of features what the agent sees; warm-up rows become 0."""
    for rows in _blocks(table_TF):
        rows[:] = np.nan_to_num(scale_features(rows, scaler))


class _TimedBars(Bars):
    """Bars whose wall clock is read once, not for every segment of every group."""

    @cached_property
    def local_us(self) -> IntArray:
        """As `Bars.local_us`."""
        return super().local_us


def _parts(schema: FeatureSchema) -> Iterator[FeatureSchema]:
    """The schema's features by group, the largest first: while it is computed the table is still untouched."""
    groups = sorted((group.NAMES for group in GROUPS), key=len, reverse=True)
    for known in (*groups, schema.own):
        names = tuple(name for name in schema.names if name in known)
        if names:
            masked = tuple(name for name in schema.masked if name in names)
            own = tuple(name for name in schema.own if name in names)
            yield replace(schema, names=names, masked=masked, own=own)


def _blocks(table_TF: Features) -> Iterator[Features]:
    """Views of so many rows that a copy of them is small."""
    for first in range(0, len(table_TF), ROWS_AT_ONCE):
        yield table_TF[first : first + ROWS_AT_ONCE]
