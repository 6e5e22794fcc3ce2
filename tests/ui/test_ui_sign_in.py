"""Pages of a service that asks for keys: sign in, look and change with that key, sign out."""

from collections.abc import Iterator

import httpx
import pytest
from keyed_service import Keyed, keyed_service
from running_service import safetensors_file

from app.registry.database import Database
from app.settings import Settings
from app.ui.way_in import own_page

FORM = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def keyed(settings: Settings, registry: Database) -> Iterator[Keyed]:
    with keyed_service(settings) as started:
        yield started


@pytest.fixture
def browser(keyed: Keyed) -> Iterator[httpx.Client]:
    """Keeps cookies, follows nothing."""
    with httpx.Client(base_url=keyed.service.url, trust_env=False, timeout=30) as client:
        yield client


def sign_in(browser: httpx.Client, key: str, page: str = "/ui/jobs") -> httpx.Response:
    return browser.post("/ui/sign-in", data={"key": key, "next": page}, headers=FORM)


def test_whoever_has_no_key_is_led_to_the_sign_in_and_back(keyed: Keyed, browser: httpx.Client) -> None:
    led = browser.get("/ui/jobs?state=queued")
    assert (led.status_code, led.headers["location"]) == (
        303,
        "/ui/sign-in?next=%2Fui%2Fjobs%3Fstate%3Dqueued",
    )
    form = browser.get(led.headers["location"])
    assert form.status_code == 200
    assert 'value="/ui/jobs?state=queued"' in form.text
    assert "no-store" in form.headers["cache-control"]
    signed = sign_in(browser, keyed.keys["reader"], "/ui/jobs?state=queued")
    assert (signed.status_code, signed.headers["location"]) == (303, "/ui/jobs?state=queued")
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie  # http on loopback; over https it is there
    page = browser.get("/ui/jobs")
    assert page.status_code == 200
    assert "Sign out" in page.text
    assert keyed.keys["reader"] not in page.text
    for path in ("/ui", "/ui/checkpoints", "/ui/datasets", "/ui/queue", "/ui/estimate?obs_dim=5&hidden=8"):
        assert browser.get(path).status_code == 200, path


def test_over_https_the_cookie_is_for_https_alone(keyed: Keyed, browser: httpx.Client) -> None:
    """As a proxy on this machine tells it."""
    headers = {**FORM, "X-Forwarded-Proto": "https"}
    answer = browser.post("/ui/sign-in", data={"key": keyed.keys["reader"]}, headers=headers)
    assert "Secure" in answer.headers["set-cookie"]


def test_a_wrong_key_is_refused_and_not_repeated(keyed: Keyed, browser: httpx.Client) -> None:
    for key in ("caliper_0000000000_" + "x" * 43, "hunter2-secret", "", "h\u00fcnter2", "a b"):
        answer = sign_in(browser, key)
        assert answer.status_code == 401, key
        assert "set-cookie" not in answer.headers
        assert key == "" or key not in answer.text
        assert 'role="alert"' in answer.text


def test_a_change_is_made_with_the_reader_s_own_key(keyed: Keyed, browser: httpx.Client) -> None:
    files = {"file": ("m.safetensors", safetensors_file())}
    made = keyed.ask("trainer", "POST", "/checkpoints", files=files).json()["id"]
    sign_in(browser, keyed.keys["reader"])
    refused = browser.post(f"/ui/checkpoints/{made}/delete", headers=FORM)
    assert refused.status_code == 403
    assert "Not allowed" in refused.text
    sign_in(browser, keyed.keys["trainer"])
    assert browser.post(f"/ui/checkpoints/{made}/delete", headers=FORM).status_code == 303
    entry = keyed.ask("admin", "GET", "/audit", params={"target": made}).json()["items"][0]
    assert (entry["key_id"], entry["outcome"], entry["address"]) == (
        keyed.ids["trainer"],
        "done",
        "127.0.0.1",
    )


def test_what_a_browser_asks_of_the_api_itself(keyed: Keyed, browser: httpx.Client) -> None:
    """Event streams and downloads come with the cookie; a change does not."""
    sign_in(browser, keyed.keys["trainer"])
    assert browser.get("/jobs").status_code == 200
    assert browser.get("/jobs/nothing/events").status_code == 404
    assert browser.post("/jobs", json={}, headers={"Origin": keyed.service.url}).status_code == 401


def test_sign_out_and_a_revoked_key_lead_back_to_the_form(keyed: Keyed, browser: httpx.Client) -> None:
    sign_in(browser, keyed.keys["reader"])
    out = browser.post("/ui/sign-out", headers=FORM)
    assert out.headers["location"] == "/ui/sign-in"
    assert browser.get("/ui/jobs").headers["location"].startswith("/ui/sign-in")
    sign_in(browser, keyed.keys["reader"])
    keyed.ask("admin", "DELETE", f"/keys/{keyed.ids['reader']}")
    assert browser.get("/ui/jobs").headers["location"].startswith("/ui/sign-in")
    part = browser.get("/ui/jobs", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (204, "/ui/sign-in?next=%2Fui")


def test_a_link_of_another_site_is_opened_once_more(keyed: Keyed, browser: httpx.Client) -> None:
    """For it the browser has kept the cookie back."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    page = browser.get("/ui/jobs?state=failed", headers=link)
    assert page.status_code == 200
    assert 'http-equiv="refresh"' in page.text
    assert "/ui/jobs?state=failed" in page.text


def test_the_key_of_the_service_s_own_environment_is_nobody_s(
    keyed: Keyed, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIPER_API_KEY", keyed.keys["admin"])
    assert browser.get("/ui/jobs").headers["location"].startswith("/ui/sign-in")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/ui",
        "//evil.example/ui",
        "/\\evil.example",
        "/ui/\\evil",
        "javascript:x",
        "/jobs",
        "",
    ],
)
def test_the_sign_in_leads_to_no_other_place(address: str) -> None:
    assert own_page(address) == "/ui"


def test_a_page_s_form_of_another_site_signs_nobody_in(keyed: Keyed, browser: httpx.Client) -> None:
    forged = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = browser.post("/ui/sign-in", data={"key": keyed.keys["reader"]}, headers=forged)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
