"""The picture is a PNG of the stated size, whatever the names hold."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.market.walk_forward import WalkForward, describe_fold, join_folds
from tests.market.evaluating import make_evaluation, make_report
from tests.market.test_curves import make_returns
from worker.trading.chart import DPI, INCHES, draw_chart


def make_group(finished: int, folds: int = 3) -> WalkForward:
    rows = tuple(describe_fold(k, f"job_{k}", make_evaluation()) for k in range(1, finished + 1))
    missing = tuple(range(finished + 1, folds + 1))
    joined = None if missing else join_folds([make_returns(40 * k) for k in range(folds)], 252.0)
    return WalkForward("wf", folds, rows, missing, joined)


@pytest.mark.parametrize(
    "group", [None, make_group(1), make_group(3), make_group(20, 20)], ids=["spans", "one", "all", "twenty"]
)
def test_the_picture_opens_and_has_its_size(group: WalkForward | None, tmp_path: Path) -> None:
    report = make_report("$\\frac{x <b> \x00 \u4e2d", walk_forward=group)
    draw_chart(report.assets[0], report.job_name, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.size == (round(INCHES[0] * DPI), round(INCHES[1] * DPI))
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50  # lines and words, no blank sheet


def test_a_long_verdict_is_cut_and_points_to_the_page(tmp_path: Path) -> None:
    asset = make_report().assets[0]
    long = replace(asset, evaluation=replace(asset.evaluation, verdict=("word " * 400,)))
    for name, each in (("a", asset), ("b", long), ("c", long)):
        draw_chart(each, "first", tmp_path / name)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()
