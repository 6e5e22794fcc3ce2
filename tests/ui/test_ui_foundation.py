"""What every page has in common: addresses, policy, problems that can be read, changes from these pages alone."""

import re

import httpx
import pytest
from page_markup import parse, read_fragment, read_page, text_of
from running_service import Service, is_problem

from app.ui.assets import ASSETS, asset_url

PAGES = (
    *("/ui", "/ui/estimate", "/ui/checkpoints", "/ui/diff"),
    *("/ui/jobs", "/ui/jobs/new", "/ui/datasets", "/ui/queue"),
)


@pytest.fixture(scope="module")
def service(shared_service: Service) -> Service:
    return shared_service


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_well_formed_under_a_strict_policy(service: Service, path: str) -> None:
    read_page(service.get(path))


def test_every_file_that_a_page_names_is_served_for_good(service: Service) -> None:
    page = service.get("/ui").text
    named = re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', page)
    assert len(named) >= 4
    for address in named:
        answer = service.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = service.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_no_page_names_another_host(service: Service) -> None:
    for path in PAGES:
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", service.get(path).text)


def test_a_file_of_another_hash_is_not_served(service: Service) -> None:
    assert (
        service.get(asset_url("caliper.css").replace(ASSETS["caliper.css"].digest, "0" * 16)).status_code
        == 404
    )
    assert service.get("/ui/static/0000/../../../pyproject.toml").status_code == 404


def test_browsers_are_led_to_the_pages_and_others_are_not(service: Service) -> None:
    browser = service.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (browser.status_code, browser.headers["location"]) == (303, "/ui")
    is_problem(service.get("/"), 404, "not_found")


def test_an_unknown_page_says_so_with_its_status(service: Service) -> None:
    tree = read_page(service.get("/ui/<script>alert(1)</script>"), 404)
    assert "there is no page /ui/<script>alert(1)</script>" in text_of(tree.find(".//main"))


def test_what_the_api_refuses_is_a_page_with_its_status(service: Service) -> None:
    tree = read_page(service.get("/ui/checkpoints/ckpt_none"), 404)
    said = text_of(tree.find(".//main"))
    assert "there is no checkpoint 'ckpt_none'" in said
    assert "404 Not Found · not_found" in said


def test_a_refusal_within_a_page_is_a_fragment_that_is_shown(service: Service) -> None:
    answer = service.get("/ui/checkpoints/ckpt_none", headers={"HX-Request": "true"})
    tree = read_fragment(answer)
    assert "there is no checkpoint" in text_of(tree)
    assert answer.headers["vary"] == "HX-Request"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "SELF"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
    ids=str,
)
def test_a_change_that_another_site_asks_for_is_refused(service: Service, headers: dict[str, str]) -> None:
    stored = service.upload_checkpoint(name="mine")
    given = {name: service.url if value == "SELF" else value for name, value in headers.items()}
    answer = service.post(f"/ui/checkpoints/{stored['id']}/labels", data={"name": "theirs"}, headers=given)
    if headers:  # the service's gate refuses it before any page is asked
        is_problem(answer, 403, "cross_origin")
    else:
        assert "did not come from a page of this service" in text_of(read_page(answer, 403))
    assert service.get(f"/checkpoints/{stored['id']}").json()["name"] == "mine"


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "SELF"}], ids=str)
def test_a_change_that_a_page_asks_for_is_made(service: Service, headers: dict[str, str]) -> None:
    stored = service.upload_checkpoint(name="mine")
    given = {name: service.url if value == "SELF" else value for name, value in headers.items()}
    path = f"/ui/checkpoints/{stored['id']}/labels"
    answer = service.post(path, data={"name": "yours", "tags": "", "aliases": ""}, headers=given)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/checkpoints/{stored['id']}")
    assert service.get(f"/checkpoints/{stored['id']}").json()["name"] == "yours"


def test_an_unexpected_error_shows_its_number_and_nothing_else(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> httpx.Response:
        raise RuntimeError("secret of the trace")

    monkeypatch.setattr("app.ui.home.answer_page", fail)
    answer = service.get("/ui")
    assert "unexpected error " in text_of(read_page(answer, 500))
    assert "secret" not in answer.text


def test_pages_are_no_operations_of_the_api(service: Service) -> None:
    assert not [path for path in service.get("/openapi.json").json()["paths"] if path.startswith("/ui")]


def test_the_markup_s_check_finds_what_it_looks_for() -> None:
    for bad in (
        "<p style='color:red'>",
        "<p onclick='x()'>",
        "<input name=a>",
        "<script>1</script>",
        "<table><tr><td>",
    ):
        with pytest.raises((AssertionError, Exception)):
            from page_markup import check

            check(parse(f"<!doctype html><html lang=en><title>t</title><body>{bad}</body></html>"))
