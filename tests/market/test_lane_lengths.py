"""How ranges are cut into lanes, by hand."""

import pytest

from app.market.lane_lengths import count_lanes, lane_length
from app.market.splits import Span, decision_ranges


@pytest.mark.parametrize(
    ("decisions", "length"), [(1, 1_000), (512_000, 1_000), (512_001, 1_001), (1_000_000, 1_954)]
)
def test_a_range_has_lanes_of_a_thousand_until_there_are_512(decisions: int, length: int) -> None:
    assert lane_length(decisions) == length
    assert -(-decisions // length) <= 512


def test_each_stretch_of_each_span_has_lanes_of_its_own() -> None:
    segments, spans = ((0, 4_000), (4_000, 8_000)), (Span(0, 6_000), Span(6_100, 8_000))
    lengths = [stop - start for span in spans for start, stop in decision_ranges(segments, span, lookback=5)]
    assert [round(length, -2) for length in lengths] == [3_500, 1_500, 1_900]
    assert count_lanes(segments, spans, lookback=5) == 4 + 2 + 2
