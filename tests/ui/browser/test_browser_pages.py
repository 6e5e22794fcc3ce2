"""The pages in a real browser: what they do as one types and drops, with and without a script, light and dark."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import make_checkpoint
from playwright.sync_api import Page, expect
from running_service import Service, running, safetensors_file

from app.registry.checkpoints import add_checkpoint
from app.registry.database import migrate
from app.settings import Settings

pytestmark = pytest.mark.slow  # a minute of Chromium
NARROW = {"width": 390, "height": 800}
Watch = Callable[..., Page]
Check = Callable[[Page], None]
Picture = Callable[..., None]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("browser"), sweep_seconds=3_600, relay_seconds=3_600)
    migrate(settings.database_url)
    with running(settings) as started:
        yield started


@pytest.fixture(scope="module")
def pair(service: Service) -> dict[str, str]:
    """Two checkpoints of the documentation's pictures."""
    a = service.upload_checkpoint(safetensors_file(53, (64, 32)), name="monday", tags=["baseline", "daily"])
    b = service.upload_checkpoint(safetensors_file(53, (128, 64, 32)), name="tuesday", tags=["wider"])
    service.http.patch(f"/checkpoints/{a['id']}", json={"aliases": ["live"]})
    with service.parts.database.write() as session:
        row = make_checkpoint(
            id="checkpoint_" + "0" * 22,
            name="googl-512x256x128",
            metrics={"test": {"sharpe": 0.84, "return": 0.06}},
            hidden_dims="512,256,128",
            obs_dim=5_300,
            parameters=2_895_108,
            bytes=34_764_905,
            step=1_000_000,
            kind="final",
        )
        add_checkpoint(session, row)
    return {"a": a["id"], "b": b["id"]}


def open_at(page: Page, service: Service, path: str) -> Page:
    answer = page.goto(service.url + path)
    assert answer is not None
    assert answer.status == 200
    return page


def fits_its_width(page: Page) -> bool:
    wide: bool = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    return wide


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/ui", "overview"),
        ("/ui/estimate?obs_dim=5300&hidden=2048,1024,512,256&gpu=t4&b_hidden=512,256,128", "estimate-two"),
        ("/ui/checkpoints", "checkpoints"),
        ("/ui/checkpoints/{a}", "checkpoint"),
        ("/ui/inspect", "inspect"),
        ("/ui/diff?a={a}&b={b}", "diff"),
    ],
)
def test_a_page_is_usable_by_all_and_fits_every_width(  # noqa: PLR0917
    page: Page,
    service: Service,
    pair: dict[str, str],
    check_accessible: Check,
    picture: Picture,
    path: str,
    name: str,
) -> None:
    open_at(page, service, path.format(**pair))
    check_accessible(page)
    picture(page, name)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert fits_its_width(page)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()


def test_the_estimate_follows_what_is_typed_and_so_does_the_address(
    page: Page, service: Service, picture: Picture
) -> None:
    open_at(page, service, "/ui/estimate")
    layers = page.get_by_role("region", name="Parameters by layer")
    expect(layers).to_contain_text("13,643,908 parameters")
    page.get_by_label("GPU").fill("t4")
    expect(page.get_by_text("T4 is counted by its")).to_be_visible()
    picture(page, "estimate")
    widths = page.get_by_label("hidden_dims", exact=True)
    widths.fill("512,256,128")
    expect(layers).to_contain_text("2,895,108 parameters")
    expect(widths).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text("A: 2.90")
    expect(page).to_have_url(re.compile("hidden=512,256,128"))
    widths.fill("512,,")
    expect(page.get_by_role("alert")).to_contain_text("is no width")
    widths.fill("512,256,128")
    page.get_by_label("hidden_dims of B").fill("256,128")
    expect(page.get_by_role("region", name="A and B").first).to_be_visible()
    before = page.locator("#results").inner_text()
    page.reload()
    assert page.locator("#results").inner_text() == before
    expect(page.get_by_label("hidden_dims of B")).to_have_value("256,128")


def test_a_file_is_dropped_read_and_then_stored(
    page: Page, service: Service, tmp_path: Path, check_accessible: Check, picture: Picture
) -> None:
    open_at(page, service, "/ui/inspect")
    content = list(safetensors_file(24, (32, 16), 3))
    dropped = page.evaluate_handle(
        """bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "dropped.safetensors")); return data; }""",
        content,
    )
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": dropped})
    report = page.locator("#report")
    expect(report.get_by_role("heading", name="dropped.safetensors")).to_be_visible()
    expect(report).to_contain_text("This file was read and forgotten.")
    check_accessible(page)
    picture(page, "inspected")
    assert [
        each["name"] for each in service.get("/checkpoints", params={"obs_dim": 24}).json()["items"]
    ] == []
    page.get_by_role("button", name="Inspect and store").click()
    expect(page.get_by_role("heading", name="dropped.safetensors", level=1)).to_be_visible()
    assert len(service.get("/checkpoints", params={"obs_dim": 24}).json()["items"]) == 1


def test_what_is_no_checkpoint_is_explained_where_it_was_dropped(
    page: Page, service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    open_at(page, service, "/ui/inspect")
    page.get_by_label("A checkpoint of torch").set_input_files(file)
    page.get_by_role("button", name="Inspect", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("unreadable_checkpoint")


def test_the_list_follows_the_search_as_it_is_typed(
    page: Page, service: Service, pair: dict[str, str]
) -> None:
    open_at(page, service, "/ui/checkpoints")
    page.get_by_label("name holds").fill("mon")
    expect(page.locator("#rows")).not_to_contain_text("tuesday")
    expect(page).to_have_url(re.compile(r"\?name=mon$"))
    page.get_by_label("metric", exact=True).fill("test.sharpe")
    expect(page.locator("#rows")).to_contain_text("No checkpoint matches.")
    page.get_by_role("link", name="Clear").click()
    expect(page.locator("#rows")).to_contain_text("googl-512x256x128")


def test_labels_and_weights_are_asked_for_by_forms(
    page: Page, service: Service, pair: dict[str, str], check_accessible: Check
) -> None:
    open_at(page, service, f"/ui/checkpoints/{pair['b']}")
    page.get_by_label("tags").fill("wider, kept")
    page.get_by_role("button", name="Save labels").click()
    expect(page.get_by_role("link", name="kept", exact=True)).to_be_visible()
    page.get_by_label("another checkpoint").fill("live")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="tuesday and monday")).to_be_visible()
    page.get_by_role("button", name="Compare the weights").click()
    expect(page.locator("#weights")).to_contain_text("no worker is running")
    check_accessible(page)


def test_everything_is_shown_without_a_script(
    open_page: Watch, service: Service, pair: dict[str, str], tmp_path: Path
) -> None:
    page = open_page(java_script_enabled=False)
    open_at(page, service, "/ui/estimate")
    page.get_by_label("hidden_dims", exact=True).fill("512,256,128")
    page.get_by_role("button", name="Estimate").click()
    expect(page.get_by_text("2,895,108 parameters")).to_be_visible()
    open_at(page, service, "/ui/checkpoints?name=mon")
    expect(page.get_by_role("link", name="monday")).to_be_visible()
    file = tmp_path / "policy.safetensors"
    file.write_bytes(safetensors_file(25, (8, 4)))
    open_at(page, service, "/ui/inspect")
    page.get_by_label("A checkpoint of torch").set_input_files(file)
    page.get_by_role("button", name="Inspect", exact=True).click()
    expect(page.get_by_role("heading", name="policy.safetensors")).to_be_visible()
    page.get_by_label("A checkpoint of torch").set_input_files(file)
    page.get_by_role("button", name="Inspect and store").click()
    expect(page.get_by_role("heading", name="policy.safetensors", level=1)).to_be_visible()
