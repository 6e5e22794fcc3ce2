"""From a file of bars to a compared policy, by clicks alone, on the real stack: API, worker, Redis, SQLite."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import GOOGL
from playwright.sync_api import Page, expect
from running_service import eventually

from app.local import LocalStack
from app.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(600)]

COSTS = {"Fee (bps)": "5", "Half spread (bps)": "1", "Slippage": "0.02", "Borrowing (bps/year)": "300"}
SMALL = {"Lookback, bars": "5", "Features": "ret_1, rsi_14"}
STEPS = 30_000
LONG = 240_000
"""Milliseconds that a training of seconds may take on a busy machine."""
POINTS = "() => Number(document.querySelector('[data-metric=entropy]').dataset.points)"
PIXELS = "() => document.querySelector('[data-metric=entropy] canvas').toDataURL()"
Check = Callable[[Page], None]
Picture = Callable[..., None]


@pytest.fixture
def stack(tmp_path: Path, free_port: int) -> Iterator[LocalStack]:
    settings = Settings(data_dir=tmp_path / "data", port=free_port, default_tier="cpu", relay_seconds=0.2)
    with LocalStack(settings) as started:
        yield started


def upload(page: Page, check_accessible: Check, picture: Picture) -> None:
    page.get_by_role("link", name="Datasets", exact=True).click()
    page.locator("#name").fill("googl")
    page.get_by_label("Calendar").select_option("XNYS")
    page.get_by_label("Prices are adjusted").select_option("split")
    page.get_by_label("Volume counts").fill("shares")
    page.get_by_label("File").set_input_files(GOOGL)
    page.get_by_role("button", name="Check without storing").click()
    expect(page.get_by_text("The service would take this file.")).to_be_visible()
    check_accessible(page)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="googl", level=1)).to_be_visible()
    check_accessible(page)
    picture(page, "dataset")


def submit(page: Page, check_accessible: Check, picture: Picture) -> None:
    page.get_by_role("link", name="Train on it").click()
    for label, value in {**COSTS, "Timesteps": f"{STEPS:,}", "hidden_dims": "8"}.items():
        page.get_by_label(label).fill(value)
    page.get_by_text("Observation and environment").click()
    for label, value in SMALL.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_text("Single settings, start, attempts, priority and time limit").click()
    page.get_by_label("PPO settings, one a line").fill("num_envs=4\nnum_steps=32")
    expect(page.locator("#preview")).to_contain_text("B, exactly")
    check_accessible(page)
    page.evaluate("scrollTo(0, 0)")
    picture(page, "job-form")
    page.get_by_role("button", name="Submit the job").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("googl 8")


def queue(page: Page, check_accessible: Check, picture: Picture) -> None:
    """The queue says who has the job; from there back to it."""
    page.get_by_role("link", name="Queue", exact=True).click()
    expect(page.get_by_role("region", name="cpu").first).to_contain_text("googl 8")
    check_accessible(page)
    picture(page, "queue")
    page.get_by_role("link", name="googl 8").first.click()


def watch(page: Page, check_accessible: Check, picture: Picture) -> None:
    """The curve moves while the job runs."""
    expect(page.locator("[data-metric=entropy]")).to_have_attribute(
        "data-points", re.compile("."), timeout=LONG
    )
    eventually(lambda: page.evaluate(POINTS) >= 2, LONG / 1_000)
    points, pixels = page.evaluate(POINTS), page.evaluate(PIXELS)
    eventually(lambda: page.evaluate(POINTS) >= points + 3, LONG / 1_000)
    assert page.evaluate(PIXELS) != pixels
    expect(page.get_by_role("heading", level=1)).to_contain_text("running")
    check_accessible(page)
    picture(page, "job-running")


def inspect(page: Page, check_accessible: Check, picture: Picture) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text("succeeded", timeout=LONG)
    expect(page.get_by_role("img", name=re.compile("equity of policy, buy & hold"))).to_be_visible()
    predicted = page.get_by_role("row", name=re.compile("^checkpoint"))
    expect(predicted).to_contain_text("exact")
    check_accessible(page)
    page.evaluate("scrollTo(0, 0)")
    picture(page, "job")
    page.get_by_role("link", name="final", exact=True).click()
    expect(page.get_by_role("heading", name="googl 8", level=1)).to_be_visible()
    page.go_back()


def clone_and_compare(page: Page, check_accessible: Check, picture: Picture) -> None:
    page.get_by_role("link", name="Clone with changes").click()
    expect(page.get_by_label("Slippage")).to_have_value("0.02")
    page.get_by_label("hidden_dims").fill("16")
    page.get_by_label("Timesteps").fill("512")
    page.get_by_role("button", name="Submit the job").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("googl 16 succeeded", timeout=LONG)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="googl 16 and googl 8")).to_be_visible()
    check_accessible(page)
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("succeeded"))).to_have_count(2)
    check_accessible(page)
    picture(page, "jobs")


def test_from_bars_to_a_compared_policy_by_clicks_alone(
    stack: LocalStack, page: Page, check_accessible: Check, picture: Picture
) -> None:
    page.goto(f"{stack.url}/ui")
    for go in (upload, submit, queue, watch, inspect, clone_and_compare):
        go(page, check_accessible, picture)
