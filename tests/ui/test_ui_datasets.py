"""Datasets: listed, checked, uploaded, shown with their doubts and splits, deleted."""

import base64
from typing import Any

import httpx
import pytest
from factories import GOOGL
from job_rows import HTMX, SAME_ORIGIN, submit, upload_googl
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service, is_problem

from app.ui import datasets as page

FORM = {
    "name": "mine",
    "calendar": "XNYS",
    "adjusted": "split",
    "volume_unit": "shares",
    "bar_seconds": "",
    "source": "",
}
LINES = GOOGL.read_text().splitlines()
BROKEN = "\n".join([*LINES[:700], "2012-01-01,1,0.5,2,1,1,1", *LINES[700:]]).encode()


@pytest.fixture
def service(emptied_service: Service) -> Service:
    return emptied_service


def send(service: Service, path: str, content: bytes = GOOGL.read_bytes(), **more: Any) -> httpx.Response:
    headers = more.pop("headers", HTMX)
    return service.post(path, data={**FORM, **more}, files={"file": ("bars.csv", content)}, headers=headers)


def wrong(tree: Any) -> dict[str, str]:
    slots = [each for each in tree.iter("p") if (each.get("id") or "").endswith("-wrong")]
    return {each.get("id").removesuffix("-wrong"): text_of(each) for each in slots if text_of(each)}


def test_an_empty_list_has_the_form_with_what_each_declaration_means(service: Service) -> None:
    tree = read_page(service.get("/ui/datasets"))
    assert "No dataset yet" in text_of(tree)
    assert "wrong labels look into the future" in text_of(tree.find(".//*[@id='label-hint']"))
    calendars = [text_of(each) for each in tree.find(".//select[@name='calendar']").iter("option")]
    assert {"not declared", "24x7", "XNYS"} <= set(calendars)
    form = tree.find(".//form[@id='upload-form']")
    assert (form.get("enctype"), form.get("action")) == ("multipart/form-data", "/ui/datasets")


def test_a_check_shows_the_report_and_keeps_nothing(service: Service) -> None:
    tree = read_fragment(send(service, "/ui/datasets/check"))
    said = text_of(tree)
    assert "The service would take this file." in said
    assert "2,335" in said
    picture = tree.find(".//img").get("src").partition("base64,")[2]
    assert base64.b64decode(picture).startswith(b"<svg ")
    assert service.get("/datasets").json()["items"] == []
    assert wrong(tree) == {}
    whole = read_page(send(service, "/ui/datasets/check", headers=SAME_ORIGIN))
    assert "The service would take this file." in text_of(whole)


def test_an_upload_leads_to_its_dataset_with_and_without_a_script(service: Service) -> None:
    answer = send(service, "/ui/datasets")
    made = service.get("/datasets/mine").json()
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, f"/ui/datasets/{made['id']}")
    again = send(service, "/ui/datasets", headers=SAME_ORIGIN)
    assert (again.status_code, again.headers["location"]) == (303, f"/ui/datasets/{made['id']}")
    rows = rows_of(read_page(service.get("/ui/datasets")), "Datasets")
    assert (
        rows[0][:5] == ["mine", "2,335", "1\N{NARROW NO-BREAK SPACE}d", "2009-05-22", "2018-08-29"]
        or rows[0][2] == "1 d"
    )


@pytest.mark.parametrize("path", ["/ui/datasets", "/ui/datasets/check"])
def test_every_breach_is_listed_with_rows_and_the_fix(service: Service, path: str) -> None:
    tree = read_fragment(send(service, path, BROKEN))
    rows = rows_of(tree, "Findings")
    problem = service.post(
        "/datasets/check", data={"calendar": "XNYS"}, files={"file": ("b.csv", BROKEN)}
    ).json()
    assert [row[0] for row in rows] == [each["code"] for each in problem["findings"]]
    assert all(row[4] for row in rows)
    read_page(send(service, path, BROKEN, headers=SAME_ORIGIN), 422)
    assert service.get("/datasets").json()["items"] == []


def test_a_wrong_declaration_is_told_next_to_its_field(service: Service) -> None:
    tree = read_fragment(send(service, "/ui/datasets", name="", timezone="Mars/Base"))
    assert set(wrong(tree)) == {"name"}
    slot = next(each for each in tree.iter("p") if each.get("id") == "name-wrong")
    assert slot.get("hx-swap-oob") == "true"
    assert "timezone" in wrong(read_fragment(send(service, "/ui/datasets", timezone="Mars/Base")))
    is_problem(send(service, "/ui/datasets", headers={"Sec-Fetch-Site": "cross-site"}), 403, "cross_origin")


def test_a_dataset_s_page_shows_chart_values_splits_and_jobs(service: Service) -> None:
    made = upload_googl(service, "<i>googl</i>")
    job = submit(service, dataset=made["id"], name="on it")
    tree = read_page(service.get(f"/ui/datasets/{made['id']}"))
    said = text_of(tree.find(".//main"))
    assert tree.find(".//img").get("src") == made["chart"]
    assert "No warning" in said
    assert made["sha256"] in said
    rows = rows_of(tree, "1,735 decisions")
    api = service.get(f"/datasets/{made['id']}/splits").json()["folds"][0]["spans"]
    assert [(row[1], row[4]) for row in rows] == [(span["name"], str(span["decisions"])) for span in api]
    fills = [each for each in tree.iter("rect") if each.get("class") == "fill"]
    assert [each.get("x") for each in fills] == [str(span["start"]) for span in api]
    assert rows_of(tree, "Jobs on this dataset")[0][:2] == ["on it", "queued"]
    links = {each.get("href") for each in tree.iter("a")}
    assert {f"/ui/jobs/new?dataset={made['id']}", f"/ui/jobs/{job['id']}"} <= links


def test_splits_follow_what_is_typed_or_say_why_not(service: Service) -> None:
    upload_googl(service)
    tree = read_fragment(service.get("/ui/datasets/googl?folds=3&lookback=50", headers=HTMX))
    assert [row[0] for row in rows_of(tree, "1,785 decisions") if row[0]] == ["1", "2", "3"]
    for query in ("folds=99", "lookback=x", "lookback=2000"):
        refused = read_fragment(service.get(f"/ui/datasets/googl?{query}", headers=HTMX))
        assert text_of(refused.find(".//*[@role='alert']"))
        read_page(service.get(f"/ui/datasets/googl?{query}"))


def test_warnings_gaps_and_jumps_are_shown(service: Service) -> None:
    jump = [line.split(",") for line in LINES[1501:]]
    lines = [
        *LINES[:1400],
        *LINES[1430:1501],
        *(",".join([r[0], *(str(float(v) * 9) for v in r[1:5]), *r[5:]]) for r in jump),
    ]
    made = service.post(
        "/datasets", data={"name": "odd", "calendar": "XNYS"}, files={"file": ("o.csv", "\n".join(lines))}
    ).json()
    assert made["report"]["gap_count"] == 1
    tree = read_page(service.get("/ui/datasets/odd"))
    assert {row[0] for row in rows_of(tree, "Findings")} == {w["code"] for w in made["report"]["warnings"]}
    assert len(rows_of(tree, "The longest gaps")) == 1
    assert rows_of(tree, "The largest jumps")[0][1].startswith("+")
    assert "W_" in rows_of(read_page(service.get("/ui/datasets")), "Datasets")[0][6]


def test_older_datasets_are_a_link_away(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "SHOWN", 1)
    for name in ("one", "two"):
        upload_googl(service, name)
    first = read_page(service.get("/ui/datasets"))
    older = next(each for each in first.iter("a") if text_of(each) == "Older").get("href")
    assert rows_of(read_page(service.get(older)), "Datasets")[0][0] == "one"


def test_a_deleted_dataset_is_gone_from_the_list(service: Service) -> None:
    made = upload_googl(service)
    answer = service.post(f"/ui/datasets/{made['id']}/delete", headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/datasets")
    assert "No dataset yet" in text_of(read_page(service.get("/ui/datasets")))
    read_page(service.get(f"/ui/datasets/{made['id']}"), 404)
