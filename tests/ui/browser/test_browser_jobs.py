"""Jobs, datasets and queue in a real browser: usable by all, live, refused next to the field, and without a script."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from factories import GOOGL
from job_rows import claim, crash, fail, progress, run, submit, upload_googl
from playwright.sync_api import Browser, Page, Route, expect
from running_service import Service, running

from app.registry.attempts import Claim
from app.registry.database import migrate
from app.registry.metrics import record_progress
from app.settings import Settings

pytestmark = pytest.mark.slow  # a minute of Chromium
NARROW = {"width": 390, "height": 800}
Watch = Callable[..., Page]
Check = Callable[[Page], None]
Picture = Callable[..., None]
COSTS = {"Fee (bps)": "5", "Half spread (bps)": "1", "Slippage": "0.02", "Borrowing (bps/year)": "300"}
PIXELS = "() => document.querySelector('[data-metric=value_loss] canvas').toDataURL()"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("browser"), sweep_seconds=3_600, relay_seconds=3_600)
    migrate(settings.database_url)
    with running(settings) as started:
        yield started


@pytest.fixture(scope="module")
def jobs(service: Service) -> dict[str, str]:
    """A job in each state that looks different."""
    upload_googl(service)
    registry = service.parts.database
    made = {name: submit(service, name=name)["id"] for name in ("going", "broken", "waiting")}
    fail(
        registry, run(registry, made["broken"], 128, 256), "the value loss became NaN in update 3", "lower it"
    )
    crash(registry, run(registry, made["waiting"]), "the trainer was killed by SIGSEGV")
    run(registry, made["going"], 128, 256)
    return made


def open_at(page: Page, service: Service, path: str) -> Page:
    answer = page.goto(service.url + path)
    assert answer is not None
    assert answer.status == 200
    return page


def report(service: Service, claimed: Claim, step: int) -> None:
    """A trainer's next progress."""
    with service.parts.database.write() as session:
        assert record_progress(session, claimed.hold, step, progress(step))


def fill_costs(page: Page) -> None:
    for label, value in COSTS.items():
        page.get_by_label(label).fill(value)


@pytest.mark.parametrize(
    "path",
    [
        "/ui/jobs",
        "/ui/jobs/{going}",
        "/ui/jobs/{broken}",
        "/ui/jobs/new",
        "/ui/jobs/new?clone={broken}",
        "/ui/datasets",
        "/ui/datasets/googl?folds=3",
        "/ui/queue",
        "/ui/sign-in",
    ],
)
def test_a_page_is_usable_by_all_and_fits_every_width(
    page: Page, service: Service, jobs: dict[str, str], check_accessible: Check, path: str
) -> None:
    open_at(page, service, path.format(**jobs))
    check_accessible(page)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()


def test_curves_and_figures_move_as_the_run_goes_on(
    page: Page, service: Service, jobs: dict[str, str]
) -> None:
    job = submit(service, name="live")
    claimed = run(service.parts.database, job["id"], 64, 128)
    open_at(page, service, f"/ui/jobs/{job['id']}")
    expect(page.locator("#stream")).to_have_text("live")
    figure = page.locator("[data-metric=value_loss]")
    expect(figure).to_have_attribute("data-points", "2")
    before = page.evaluate(PIXELS)
    for step in (256, 384):
        report(service, claimed, step)
    expect(figure).to_have_attribute("data-points", "4")
    expect(figure.locator("output")).to_have_text("0.0026")
    expect(figure.locator(".plot")).to_have_attribute("aria-label", "value loss: 0.0026 at step 384")
    assert page.evaluate(PIXELS) != before
    expect(page.locator("#status")).to_contain_text("384")
    expect(page.locator("[data-metric=explained_variance]")).to_contain_text("no value yet")
    crash(service.parts.database, claimed, "the trainer was killed")
    again = claim(service.parts.database, job["id"])
    report(service, again, 256)
    expect(figure).to_have_attribute("data-points", "3")
    expect(page.locator("#history")).to_contain_text("the trainer was killed")
    fail(service.parts.database, again, "a loss became NaN")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.locator("#stream")).to_have_text("ended")


def test_a_stream_that_breaks_or_is_refused_is_opened_again_from_the_last_event(
    browser: Browser, service: Service, jobs: dict[str, str]
) -> None:
    job = submit(service, name="torn")
    claimed = run(service.parts.database, job["id"], 128)
    asked: list[str] = []

    def tear(route: Route) -> None:
        asked.append(route.request.url.partition("after=")[2])
        if len(asked) == 1:
            route.fulfill(status=503, body="restarting")
        elif len(asked) == 2:
            body = 'retry: 10\n\nevent: log\nid: 77\ndata: {"message": "torn"}\n\n'
            route.fulfill(status=200, content_type="text/event-stream", body=body)
        elif len(asked) == 3:
            route.fulfill(status=503, body="restarting")
        else:
            route.fallback(url=route.request.url.replace("after=77", "after=3"))

    # Not watched: a browser writes each refused request into its console, and that is what is tried here.
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "const later = setTimeout; window.setTimeout = (f, ms) => later(f, Math.min(ms, 50))"
    )
    page.route("**/events?*", tear)
    page.goto(f"{service.url}/ui/jobs/{job['id']}")
    expect(page.locator("#stream")).to_have_text("live")
    report(service, claimed, 256)
    expect(page.locator("[data-metric=value_loss]")).to_have_attribute("data-points", "2")
    context.close()
    first = str(service.get(f"/jobs/{job['id']}").json()["last_event"] - 1)
    assert asked == [first, first, first, "77"]


def test_the_list_moves_while_it_is_looked_at_and_keeps_the_focus(
    page: Page, service: Service, jobs: dict[str, str]
) -> None:
    job = submit(service, name="watched")
    open_at(page, service, "/ui/jobs?name=watched")
    row = page.get_by_role("row", name="watched")
    expect(row).to_contain_text("waits for a worker")
    page.get_by_role("link", name="watched").focus()
    run(service.parts.database, job["id"], 384)
    expect(row).to_contain_text("75.0% of 512")
    expect(page.get_by_role("link", name="watched")).to_be_focused()
    page.get_by_label("Name").fill("going")
    expect(page.locator("#jobs")).not_to_contain_text("watched")


def test_the_form_tells_what_the_job_would_be_as_one_types(
    page: Page, service: Service, jobs: dict[str, str]
) -> None:
    open_at(page, service, "/ui/jobs/new")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Still needed")
    page.get_by_label("googl").check()
    fill_costs(page)
    page.get_by_label("Timesteps").fill("512")
    expect(preview).to_contain_text("B, exactly")
    widths = page.get_by_label("hidden_dims")
    widths.fill("30000, 30000")
    page.get_by_label("GPU tier").select_option("low")
    expect(preview.get_by_role("alert")).to_contain_text("GB")
    preview.get_by_role("button", name="Use this change").click()
    expect(preview).to_contain_text("B, exactly")
    expect(page.get_by_label("Slippage")).to_have_value("0.02")
    widths = page.get_by_label("hidden_dims")
    widths.fill("64, x")
    page.get_by_role("button", name="Submit the job").click()
    expect(page.locator("#hidden_dims-wrong")).to_contain_text("is no number")
    expect(widths).to_have_value("64, x")
    widths.fill("64")
    page.get_by_role("button", name="Submit the job").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("googl 64 queued")


def test_bars_are_refused_where_they_were_chosen_and_the_form_stays(
    page: Page, service: Service, jobs: dict[str, str], tmp_path: Any
) -> None:
    lines = GOOGL.read_text().splitlines()
    broken = tmp_path / "broken.csv"
    broken.write_text("\n".join([*lines[:700], "2012-01-01,1,0.5,2,1,1,1", *lines[700:]]))
    open_at(page, service, "/ui/datasets")
    page.locator("#name").fill("broken")
    page.get_by_label("Time zone").fill("Mars/Base")
    page.get_by_label("File").set_input_files(broken)
    page.get_by_role("button", name="Check without storing").click()
    expect(page.locator("#timezone-wrong")).to_contain_text("Mars/Base")
    page.get_by_label("Time zone").fill("")
    page.get_by_label("Calendar").select_option("XNYS")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("E_")
    expect(page.locator("#timezone-wrong")).to_be_empty()
    expect(page.locator("#name")).to_have_value("broken")


def test_without_a_script_everything_is_shown_and_submitted(
    open_page: Watch, service: Service, jobs: dict[str, str]
) -> None:
    page = open_page(java_script_enabled=False)
    open_at(page, service, f"/ui/jobs/{jobs['broken']}")
    expect(page.locator("[data-metric=value_loss] polyline")).to_be_visible()
    expect(page.get_by_text("the value loss became NaN in update 3").first).to_be_visible()
    open_at(page, service, "/ui/datasets")
    page.locator("#name").fill("scriptless")
    page.get_by_label("Calendar").select_option("XNYS")
    page.get_by_label("File").set_input_files(GOOGL)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="scriptless", level=1)).to_be_visible()
    page.get_by_role("link", name="Train on it").click()
    fill_costs(page)
    page.get_by_label("Timesteps").fill("512")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("B, exactly")
    page.get_by_role("button", name="Submit the job").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("queued")
