"""The price chart: well-formed, true to the prices, gaps and jumps marked, no text of the user's as markup."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from app.market.chart import HEIGHT, WIDTH, draw_chart, gather_columns
from tests.market.making import REAL_FILES, make_bars, read_real

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(svg: str, kind: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(svg).iter() if element.get("class") == kind]


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files_are_drawn_inside_the_picture(name: str) -> None:
    bars = read_real(name)
    svg = draw_chart(bars, name)
    (line,) = drawn(svg, "line")
    points = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", line.get("d") or ""), dtype=float)
    assert (points >= 0).all()
    assert (points <= [WIDTH, HEIGHT]).all()
    assert (np.diff(points[:, 0]) > 0).all()
    assert (line.get("d") or "").count("M") <= len(bars.segments)
    assert len(drawn(svg, "gap")) == len(bars.segments) - 1
    assert len(svg) < 60_000


def test_the_line_falls_where_prices_fall() -> None:
    bars = make_bars(900)
    falling = np.linspace(200, 100, 900)
    svg = draw_chart(replace(bars, open=falling, high=falling, low=falling, close=falling), "down")
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", drawn(svg, "line")[0].get("d") or "")]
    assert heights == sorted(heights)


def test_a_flat_market_of_tiny_prices_is_drawn() -> None:
    same = np.full(700, 1e-8)
    ET.fromstring(draw_chart(replace(make_bars(700), open=same, high=same, low=same, close=same), "flat"))


def test_bars_without_volume_have_no_volume_line() -> None:
    bars = replace(make_bars(700), volume=np.full(700, np.nan))
    assert drawn(draw_chart(bars, "quiet"), "volume") == []


def test_names_are_text_and_never_markup() -> None:
    name = '"><script>alert(1)</script>&'
    root = ET.fromstring(draw_chart(make_bars(700), name))
    assert [element for element in root.iter() if element.tag.endswith("script")] == []
    assert drawn(draw_chart(make_bars(700), name), "title")[0].text == name
    assert root.get("aria-label") == name


def test_columns_hold_every_bar_once() -> None:
    bars = make_bars(1000, gaps=(600,))
    columns = gather_columns(bars, 64)
    assert columns.volume.sum() == pytest.approx(bars.volume.sum())
    assert (columns.low.min(), columns.high.max()) == (bars.low.min(), bars.high.max())
    assert columns.close[-1] == bars.close[-1]
    assert columns.broken.sum() == 1
    assert (np.diff(columns.at) > 0).all()
