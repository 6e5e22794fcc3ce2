"""How an evaluation cuts ranges of decisions into lanes that it walks side by side."""

from collections.abc import Iterable

from app.market.checks import Segments
from app.market.splits import Span, decision_ranges

LANE_BARS = 1_000
"""Fewest decisions of a lane; a shorter range is one lane."""

MAX_LANES = 512
"""Most lanes of one range."""


def lane_length(decisions: int) -> int:
    """Decisions of each lane of a range but the last, which may have fewer."""
    return max(LANE_BARS, -(-decisions // MAX_LANES))


def count_lanes(segments: Segments, spans: Iterable[Span], lookback: int) -> int:
    """Lanes of all ranges that these spans have."""
    ranges = (rows for span in spans for rows in decision_ranges(segments, span, lookback))
    return sum(-(-(stop - start) // lane_length(stop - start)) for start, stop in ranges)
