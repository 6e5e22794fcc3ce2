"""A real browser on a real service: the system's Chromium, driven by Playwright.

Without Chromium these tests are skipped, unless CALIPER_BROWSER=required. CALIPER_CHROMIUM names another
binary. With CALIPER_SCREENSHOTS=1 the pictures in docs/screenshots are made anew.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

SCREENSHOTS = Path(__file__).resolve().parents[3] / "docs" / "screenshots"
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
WIDE = {"width": 1280, "height": 860}
NARROW = {"width": 390, "height": 800}
MOST_HEIGHT = 1_500
"""Pixels of a picture; of a longer page its beginning is shown."""
PATIENCE = 30_000
"""Milliseconds after which what is awaited will not come."""
SERIOUS = {"serious", "critical"}
LOCAL_SCHEMES = {"data", "blob", "about"}

Watch = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The system's Chromium; skips where there is none, or fails where one is required."""
    wanted = os.environ.get("CALIPER_CHROMIUM") or "chromium"
    found = shutil.which(wanted)
    if found is None:
        reason = f"no browser: {wanted} is not installed; CALIPER_CHROMIUM names another"
        if os.environ.get("CALIPER_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def playwright(chromium_path: str) -> Iterator[Playwright]:
    """For a module, not the session: while it lives, no other test of the process can run an event loop."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium_path: str) -> Iterator[Browser]:
    """One browser for a module's tests."""
    started = playwright.chromium.launch(executable_path=chromium_path, args=list(ARGUMENTS), headless=True)
    yield started
    started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Watch]:
    """Opens pages that fail the test on console errors, on errors in scripts, and on requests to other hosts."""
    wrong: list[str] = []
    contexts = []

    def open_one(**options: Any) -> Page:
        given = {
            "viewport": WIDE,
            "color_scheme": "light",
            "reduced_motion": "reduce",
            "locale": "en-GB",
            **options,
        }
        context = browser.new_context(**given)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on(
            "console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None
        )
        page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        page.on("request", lambda request: _note_foreign(request.url, wrong))
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def page(open_page: Watch) -> Page:
    """One watched page, wide and light."""
    return open_page()


@pytest.fixture(scope="session")
def axe_script() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()


@pytest.fixture
def check_accessible(axe_script: str) -> Callable[[Page], None]:
    """Asserts that axe-core finds nothing serious on a page, in light and in dark."""

    def check(page: Page) -> None:
        page.evaluate(axe_script)
        # Between the two schemes nothing but colours differs.
        for scheme, rules in (("dark", ["color-contrast"]), ("light", None)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
            found = page.evaluate("options => axe.run(document, options)", options)["violations"]
            bad = [_describe(each) for each in found if each["impact"] in SERIOUS]
            assert bad == [], f"{page.url} in {scheme}"

    return check


@pytest.fixture
def picture() -> Callable[..., None]:
    """Keeps a picture of a page, light and dark, for the documentation; only where asked for."""

    def take(page: Page, name: str) -> None:
        if os.environ.get("CALIPER_SCREENSHOTS") != "1":
            return
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        width, height = page.evaluate(f"[innerWidth, Math.min(document.body.scrollHeight, {MOST_HEIGHT})]")
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            path = SCREENSHOTS / f"{name}-{scheme}.png"
            page.screenshot(path=path, full_page=True, clip=clip, animations="disabled")  # type: ignore[arg-type]

    return take


def _note_foreign(url: str, wrong: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in LOCAL_SCHEMES and parts.hostname != "127.0.0.1":
        wrong.append(f"request to {url}")


def _describe(violation: dict[str, Any]) -> str:
    where = ", ".join(" ".join(map(str, node["target"])) for node in violation["nodes"][:5])
    return f"{violation['id']}: {violation['help']} at {where}: {violation['nodes'][0].get('failureSummary', '')}"
