"""The /datasets operations, on real bars."""

import gzip
from pathlib import Path
from typing import Any

import httpx
import pytest
from factories import GOOGL
from running_service import Service, eventually, is_problem

from app.registry.datasets import find_dataset
from app.settings import Settings

FORM = {
    "name": "googl",
    "calendar": "XNYS",
    "adjusted": "split",
    "volume_unit": "shares",
    "source": "an export",
}


def upload(service: Service, content: bytes | None = None, **form: Any) -> httpx.Response:
    files = {"file": ("../../etc/googl.csv", content or GOOGL.read_bytes())}
    return service.post("/datasets", files=files, data={**FORM, **form})


def test_bars_are_accepted_shown_listed_and_deleted(service: Service) -> None:
    answer = upload(service)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"/datasets/{body['id']}"
    assert body["rows"] == len(GOOGL.read_text().splitlines()) - 1
    assert body["bar_seconds"] == 86_400
    assert body["declarations"]["calendar"] == "XNYS"
    assert body["source"] == "an export"
    assert service.get(f"/datasets/{body['id']}").json() == body
    assert service.get("/datasets/googl").json() == body
    assert service.get("/datasets").json() == {"items": [body], "next_cursor": None}
    assert service.http.delete("/datasets/googl").status_code == 204
    is_problem(service.get("/datasets/googl"), 404, "not_found")
    assert service.get("/datasets").json()["items"] == []
    is_problem(service.http.delete(f"/datasets/{body['id']}"), 404, "not_found")


def test_the_report_and_the_chart_are_made_once_and_served(service: Service) -> None:
    body = upload(service).json()
    report = body["report"]
    assert (report["segments"], report["gap_count"], report["closings"]) == ([[0, 2335]], 0, 503)
    assert report["volume"]["unit"] == "shares"
    assert report["prices"]["high"] == 1291.439941
    assert body["chart"] == f"/datasets/{body['id']}/chart.svg"
    chart = service.get(body["chart"])
    assert chart.headers["content-type"].startswith("image/svg+xml")
    assert "script-src" not in chart.headers["content-security-policy"]
    assert "default-src 'none'" in chart.headers["content-security-policy"]
    assert chart.text.startswith("<svg ")
    assert ">googl</text>" in chart.text
    assert service.get("/datasets/googl/chart.svg").text == chart.text
    is_problem(service.get("/datasets/nothing/chart.svg"), 404, "not_found")
    with service.parts.database.write() as session:
        find_dataset(session, body["id"]).chart_svg = None  # as a release before the chart left it
    assert service.get(body["chart"]).text == chart.text
    with service.parts.database.read() as session:
        assert find_dataset(session, body["id"]).chart_svg == chart.text


def test_own_columns_packed_files_and_files_without_header_go_up(service: Service) -> None:
    lines = GOOGL.read_text().splitlines()
    packed = upload(service, gzip.compress("\n".join(lines).encode()), feature_columns="Adj Close").json()
    (own,) = packed["report"]["own_features"]
    assert own["name"] == "Adj Close"
    assert packed["declarations"]["feature_columns"] == "Adj Close"
    bare = "\n".join(lines[1:]).encode()
    assert "no header line" in is_problem(upload(service, bare), 422, "invalid_dataset")["detail"]
    named = upload(service, bare, columns="date,open,high,low,close,adj close,volume").json()
    assert named["sha256"] == upload(service).json()["sha256"]


def test_the_same_bars_twice_are_one_dataset(service: Service) -> None:
    assert upload(service).json()["id"] == upload(service).json()["id"]


def test_pages_follow_the_cursor_without_gap_or_double(service: Service) -> None:
    names = [f"copy-{n}" for n in range(3)]
    ids = [upload(service, name=name).json()["id"] for name in names]
    first = service.get("/datasets?limit=2").json()
    assert [item["id"] for item in first["items"]] == ids[:0:-1]
    second = service.get(f"/datasets?limit=2&cursor={first['next_cursor']}").json()
    assert [item["id"] for item in second["items"]] == ids[:1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=%00", "cursor='; --", "page=2"]
)
def test_a_wrong_page_is_refused(service: Service, query: str) -> None:
    is_problem(service.get(f"/datasets?{query}"), 422, "invalid_input")


def test_a_refusal_lists_the_findings(service: Service) -> None:
    lines = GOOGL.read_text().splitlines()
    problem = is_problem(
        upload(service, "\n".join([lines[0], *lines[:0:-1]]).encode()), 422, "invalid_dataset"
    )
    assert problem["findings"][0]["code"] == "E_UNSORTED"
    assert problem["findings"][0]["fix"]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\xff" * 500, b"PAR1 is not enough"])
def test_what_is_no_bars_is_refused(service: Service, content: bytes) -> None:
    answer = service.post("/datasets", files={"file": ("a", content)}, data=FORM)
    is_problem(answer, 422, "invalid_dataset")


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        ({"label": "middle"}, "label"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"bar_seconds": "0"}, "bar_seconds"),
        ({"bar_seconds": "daily"}, "bar_seconds"),
        ({"calendar": "moon"}, "calendar"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"zone": "UTC"}, "zone"),
    ],
)
def test_a_wrong_declaration_is_refused(service: Service, form: dict[str, str], pointer: str) -> None:
    problem = upload(service, **form)
    assert problem.status_code == 422
    assert problem.json()["pointer"] == pointer


def test_a_missing_file_or_name_is_refused(service: Service) -> None:
    without_file = service.post("/datasets", data=FORM, files={"name": (None, "x")})
    assert {breach["pointer"] for breach in is_problem(without_file, 422, "invalid_input")["errors"]} >= {
        "file"
    }
    without_name = service.post("/datasets", files={"file": ("a.csv", b"x")})
    assert is_problem(without_name, 422, "invalid_input")["pointer"] == "name"
    is_problem(service.post("/datasets", json=FORM), 422, "invalid_input")


def test_a_file_over_the_limit_is_refused(settings: Settings, make_service: Any) -> None:
    small = settings.model_copy(update={"max_dataset_bytes": 10_000})
    with make_service(small) as service:
        problem = is_problem(upload(service), 413, "limit_exceeded")
        assert problem["limit"] == 10_000
        assert problem["pointer"] == "file"
        assert service.get("/datasets").json()["items"] == []


def test_nothing_is_left_in_the_spool(service: Service) -> None:
    upload(service)
    upload(service, b"hello")
    # The form is closed once the answer is on its way.
    eventually(lambda: list(service.parts.storage.incoming.iterdir()) == [])
    assert list(service.settings.spool_dir.iterdir()) == []
    assert [path for path in Path(service.settings.data_dir).rglob("*") if "googl" in path.name] == []
