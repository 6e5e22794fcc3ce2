"""Curves as SVG: where points lie, by hand."""

from xml.etree.ElementTree import fromstring

from app.ui.curves import BOTTOM, HEIGHT, LEFT, MEASURES, RIGHT, TOP, WIDTH, collect_series, draw_curve


def test_points_are_gathered_by_metric() -> None:
    points = [
        {"name": n, "step": s, "value": v} for s, n, v in ((1, "a", 0.5), (1, "b", 2.0), (2, "a", 0.25))
    ]
    assert collect_series(points) == {"a": ([1, 2], [0.5, 0.25]), "b": ([1], [2.0])}


def test_a_curve_spans_its_frame() -> None:
    svg = fromstring(draw_curve([0, 50, 100], [0.0, 1.0, 0.5], "a <label>"))
    assert svg.get("aria-label") == "a <label>"
    points = [tuple(map(float, pair.split(","))) for pair in svg.find("polyline").get("points").split()]
    bottom, top = HEIGHT - BOTTOM, TOP
    assert points == [(LEFT, bottom), ((LEFT + WIDTH - RIGHT) / 2, top), (WIDTH - RIGHT, (bottom + top) / 2)]
    assert [text.text for text in svg.findall("text")] == ["0", "1", "100 steps"]


def test_one_value_and_a_flat_line_can_be_drawn() -> None:
    assert fromstring(draw_curve([7], [3.0], "one")).find("circle").get("cx") == f"{WIDTH - RIGHT:.1f}"
    flat = fromstring(draw_curve([1, 2], [0.0, 0.0], "flat"))
    heights = {pair.split(",")[1] for pair in flat.find("polyline").get("points").split()}
    assert heights == {f"{(TOP + HEIGHT - BOTTOM) / 2:.1f}"}


def test_every_curve_has_a_name_of_its_own() -> None:
    assert len({measure.name for measure in MEASURES}) == len(MEASURES) == 9
