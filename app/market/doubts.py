"""Doubts: what is allowed in a file of bars but worth a look (the W_ findings)."""

import numpy as np

from app.market.checks import Columns, FloatArray
from app.market.findings import Findings

Segments = tuple[tuple[int, int], ...]
"""Stretches of bars without a gap as half-open row ranges [(start, stop), …]."""

JUMP_MADS = 50.0
"""A return further from the median than this many median absolute deviations is a jump."""

VOLUME_BLOCK = 200
"""Bars whose median volume is compared with that of the next as many."""

VOLUME_DECADES = 2.0
"""A change of the median volume by more than this power of ten suggests another unit."""


def note_doubts(columns: Columns, segments: Segments, *, has_volume: bool, findings: Findings) -> None:
    """Note W_GAP, W_JUMP, W_VOLUME_UNIT, W_VOLUME_ABSENT and W_FLAT_BARS."""
    starts = np.array([start for start, _ in segments[1:]], dtype=np.intp)
    if len(starts):
        message = f"gaps split the bars into {len(segments)} segments; rows are the first after a gap"
        findings.add("W_GAP", message, columns.rows[starts])
    _note_jumps(columns, starts, findings)
    flat = columns.high == columns.low
    findings.add_where("W_FLAT_BARS", "bars have high = low", flat, columns.rows)
    _note_volume(columns, has_volume=has_volume, findings=findings)


def _note_jumps(columns: Columns, starts: FloatArray | np.ndarray, findings: Findings) -> None:
    returns = np.diff(np.log(columns.close), prepend=np.log(columns.close[:1]))
    inside = np.ones(len(returns), dtype=np.bool_)
    inside[[0, *starts]] = False
    centre = np.median(returns[inside]) if inside.any() else 0.0
    distance = np.abs(returns - centre)
    mad = np.median(distance[inside]) if inside.any() else 0.0
    if mad > 0:
        message = f"returns lie more than {JUMP_MADS:g} median absolute deviations from the median"
        findings.add_where("W_JUMP", message, inside & (distance > JUMP_MADS * mad), columns.rows)


def _note_volume(columns: Columns, *, has_volume: bool, findings: Findings) -> None:
    missing = np.isnan(columns.volume)
    if not has_volume or not (columns.volume > 0).any():
        findings.add("W_VOLUME_ABSENT", "there is no volume", count=len(columns.rows))
        return
    findings.add_where("W_VOLUME_ABSENT", "rows have no volume", missing, columns.rows)
    jumps = _volume_jumps(columns.volume)
    if len(jumps):
        message = f"median volume changes by more than {VOLUME_DECADES:g} powers of ten near these rows"
        findings.add("W_VOLUME_UNIT", message, columns.rows[jumps])


def _volume_jumps(volume: FloatArray) -> np.ndarray:
    blocks = len(volume) // VOLUME_BLOCK
    table = volume[: blocks * VOLUME_BLOCK].reshape(blocks, VOLUME_BLOCK)
    traded = [row[row > 0] for row in table]
    medians = np.array([np.log10(np.median(row)) if len(row) else np.nan for row in traded])
    with np.errstate(invalid="ignore"):
        jumps = np.flatnonzero(np.abs(np.diff(medians)) > VOLUME_DECADES)
    return np.asarray((jumps + 1) * VOLUME_BLOCK)
