"""Doubts: what is allowed in a file of bars but worth a look (the W_ findings)."""

import numpy as np

from app.market.calendars import BoolArray, IntArray
from app.market.checks import Columns, FloatArray, Segments
from app.market.findings import Findings
from app.market.schema import WARMUP_BARS

JUMP_MADS = 50.0
"""A return further from the median than this many median absolute deviations is a jump."""

VOLUME_BLOCK = 200
"""Bars whose median volume is compared with that of the next as many."""

_JUMP_WORDS = f"returns lie more than {JUMP_MADS:g} median absolute deviations from the median"

VOLUME_DECADES = 2.0
"""A change of the median volume by more than this power of ten suggests another unit."""


def note_doubts(columns: Columns, segments: Segments, findings: Findings) -> None:
    """Note W_GAP, W_SHORT_SEGMENT, W_JUMP, W_FLAT_BARS, W_VOLUME_ABSENT and W_VOLUME_UNIT."""
    starts = np.array([start for start, _ in segments[1:]], dtype=np.intp)
    if len(starts):
        message = f"gaps split the bars into {len(segments)} segments; rows are the first after a gap"
        findings.add("W_GAP", message, columns.rows[starts])
    _note_short_segments(columns, segments, findings)
    findings.add_where("W_JUMP", _JUMP_WORDS, find_jumps(columns.close, segments), columns.rows)
    flat = columns.high == columns.low
    findings.add_where("W_FLAT_BARS", "bars have high = low", flat, columns.rows)
    _note_volume(columns, findings)


def find_jumps(close: FloatArray, segments: Segments) -> BoolArray:
    """Mark bars whose log return within its segment lies further than 50 MAD from the median; shape [T]."""
    returns = np.diff(np.log(close), prepend=np.log(close[:1]))
    inside = np.ones(len(returns), dtype=np.bool_)
    inside[[start for start, _ in segments]] = False
    if not inside.any():
        return inside
    distance = np.abs(returns - np.median(returns[inside]))
    mad = np.median(distance[inside])
    return np.asarray(inside & (distance > JUMP_MADS * mad) & (mad > 0))


def _note_short_segments(columns: Columns, segments: Segments, findings: Findings) -> None:
    short = [(start, stop) for start, stop in segments if stop - start < WARMUP_BARS]
    if short:
        bars = sum(stop - start for start, stop in short)
        message = (
            f"{len(short)} of {len(segments)} segments ({bars:,} bars) are shorter than the warm-up of "
            f"{WARMUP_BARS} bars; rows are their first"
        )
        findings.add("W_SHORT_SEGMENT", message, columns.rows[[start for start, _ in short]])


def _note_volume(columns: Columns, findings: Findings) -> None:
    if not (columns.volume > 0).any():
        findings.add("W_VOLUME_ABSENT", "there is no volume", count=len(columns.rows))
        return
    missing = np.isnan(columns.volume)
    findings.add_where("W_VOLUME_ABSENT", "rows have no volume", missing, columns.rows)
    jumps = _volume_jumps(columns.volume)
    if len(jumps):
        message = f"median volume changes by more than {VOLUME_DECADES:g} powers of ten near these rows"
        findings.add("W_VOLUME_UNIT", message, columns.rows[jumps])


def median_volumes(volume: FloatArray) -> FloatArray:
    """Median of the volumes above 0 of every 200 bars; NaN where nothing was traded."""
    blocks = len(volume) // VOLUME_BLOCK
    table = volume[: blocks * VOLUME_BLOCK].reshape(blocks, VOLUME_BLOCK)
    ordered = np.sort(np.where(table > 0, table, np.inf), axis=1)
    traded = (table > 0).sum(axis=1)
    middle = np.stack([np.maximum(traded - 1, 0) // 2, traded // 2], axis=1)
    medians = np.take_along_axis(ordered, np.minimum(middle, VOLUME_BLOCK - 1), axis=1).mean(axis=1)
    return np.asarray(np.where(traded > 0, medians, np.nan))


def _volume_jumps(volume: FloatArray) -> IntArray:
    with np.errstate(invalid="ignore"):
        steps = np.abs(np.diff(np.log10(median_volumes(volume))))
    return np.asarray((np.flatnonzero(steps > VOLUME_DECADES) + 1) * VOLUME_BLOCK)
