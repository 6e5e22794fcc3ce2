"""The page: valid, whole by itself, and never fooled by a name."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market.walk_forward import WalkForward, describe_fold, join_folds
from app.pages.evaluation import render_report
from app.pages.line_chart import choose_ticks
from tests.market.evaluating import make_evaluation, make_report
from tests.market.test_curves import make_returns

VOID = {"meta", "line", "polyline", "link", "br"}
NASTY = "</title><script>alert('x')</script> & \" <img src=x onerror=y>"


class Balanced(HTMLParser):
    """Collects elements, and fails where one is not closed in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def make_group(finished: int) -> WalkForward:
    rows = tuple(describe_fold(k, f"job_{k}", make_evaluation()) for k in range(1, finished + 1))
    missing = tuple(range(finished + 1, 4))
    joined = None if missing else join_folds([make_returns(40 * k) for k in range(3)], 252.0)
    return WalkForward("wf", 3, rows, missing, joined)


@pytest.mark.parametrize("group", [None, make_group(2), make_group(3)], ids=["alone", "unfinished", "joined"])
def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(group: WalkForward | None) -> None:
    page = render_report(make_report(walk_forward=group))
    seen = parse(page).seen
    tags = {tag for tag, _ in seen}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "form", "a", "base"})
    assert {"svg", "polyline", "table", "title"} <= tags
    assert not any(
        name.startswith("on") or name in {"src", "href", "style"} for _, attrs in seen for name in attrs
    )
    assert not re.search(r"https?:|url\(|@import|//", page)
    assert "prefers-color-scheme: dark" in page
    svgs = [attrs for tag, attrs in seen if tag == "svg"]
    assert len(svgs) == (4 if group and group.joined else 2)
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in svgs)


def test_names_are_text_whatever_they_hold() -> None:
    report = replace(make_report(NASTY), job_name=NASTY)
    page = render_report(report)
    assert "script" not in {tag for tag, _ in parse(page).seen}
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page


def test_the_verdict_stands_before_every_chart_and_table() -> None:
    page = render_report(make_report())
    verdict = page.index("not distinguishable from buy &amp; hold")
    assert verdict < page.index("<svg")
    assert verdict < page.index("<table")


def test_the_page_shows_what_the_report_holds() -> None:
    page = render_report(make_report())
    for words in (
        "Since then this test span has been opened 2 more times: 3 in all.",
        "costs \N{MULTIPLICATION SIGN} 2",
        "fills 1 bar later",
        "Sortino ratio",
        "deflated Sharpe",
        "The network has 10 parameters and learned from 250 training bars.",
        "-10.0% to +14.0%",
    ):
        assert words in page, words


def test_folds_that_are_missing_are_named_and_all_together_are_joined() -> None:
    assert "Not evaluated yet: fold 3." in render_report(make_report(walk_forward=make_group(2)))
    joined = render_report(make_report(walk_forward=make_group(3), job_id="job_2"))
    assert "all, joined" in joined
    assert "2 of 3 (this job)" in joined
    assert "Over all folds&#39; test spans the policy" in joined


def test_several_datasets_stand_one_below_the_other() -> None:
    assets = (make_report("btc").assets[0], make_report("eth").assets[0])
    page = render_report(make_report(assets=assets))
    assert "judged on each of 2 datasets alone" in page
    assert page.index("<h2>btc</h2>") < page.index("<h2>eth</h2>")


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_rise_evenly_and_enclose_the_values(low: float, width: float) -> None:
    ticks = choose_ticks(low, low + width)
    slack = 1e-6 * max(1.0, abs(low), width)
    assert 2 <= len(ticks) <= 9
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + width - slack
    assert list(ticks) == sorted(ticks)
