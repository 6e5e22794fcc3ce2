"""The checkpoints' pages: the list and its search, one checkpoint, its labels."""

import io
from typing import Any

import pytest
from factories import make_checkpoint
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service, safetensors_file

from app.registry.checkpoints import add_checkpoint, set_aliases
from app.ui.checkpoints import exports_of

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
EVIL = "<img src=x onerror=alert(1)>'\"&"
MEASURED = {"test": {"sharpe": 1.25, "return": 0.5}}


@pytest.fixture(scope="module")
def service(shared_service: Service) -> Service:
    return shared_service


@pytest.fixture(scope="module")
def stored(service: Service) -> dict[str, str]:
    """Three checkpoints by name."""
    first = service.upload_checkpoint(safetensors_file(6, (8, 4)), name="monday", tags=["baseline"])
    second = service.upload_checkpoint(safetensors_file(12, (16, 8)), name=EVIL, tags=["odd"])
    with service.parts.database.write() as session:
        row = make_checkpoint(
            id="checkpoint_" + "f" * 22, name="trained", metrics=MEASURED, producer="caliper", kind="final"
        )
        add_checkpoint(session, row)
        set_aliases(session, first["id"], ["live"])
    return {"monday": first["id"], EVIL: second["id"], "trained": row.id}


def listed(service: Service, **query: str) -> list[str]:
    tree = read_page(service.get("/ui/checkpoints", params=query))
    links = [a for a in tree.findall(".//tbody/tr/th/a") if "?" not in a.get("href", "")]
    return [text_of(a) for a in links]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["trained", EVIL, "monday"]),
        ({"name": "MON"}, ["monday"]),
        ({"hidden_dims": "16, 8"}, [EVIL]),
        ({"obs_dim": "6"}, ["monday"]),
        ({"tag": "odd"}, [EVIL]),
        ({"alias": "live"}, ["monday"]),
        ({"producer": "caliper"}, ["trained"]),
        ({"kind": "uploaded"}, [EVIL, "monday"]),
        ({"metric": "test.sharpe"}, ["trained"]),
        ({"metric": "test.sharpe", "metric_min": "1.5"}, []),
        ({"name": "", "obs_dim": " ", "metric_min": ""}, ["trained", EVIL, "monday"]),
    ],
    ids=str,
)
def test_the_list_is_searched_as_the_api_filters(
    service: Service, stored: dict[str, str], query: dict[str, str], expected: list[str]
) -> None:
    assert listed(service, **query) == expected
    assert set(stored) >= set(expected)


def test_a_search_is_kept_in_the_form_and_in_the_address(service: Service, stored: dict[str, str]) -> None:
    answer = service.get("/ui/checkpoints", params={"hidden_dims": "16, 8", "job": "", "sha256": ""})
    assert answer.headers["hx-replace-url"] == "/ui/checkpoints?hidden_dims=16,8"
    values = {each.get("name"): each.get("value") for each in read_page(answer).iter("input")}
    assert values["hidden_dims"] == "16, 8"


def test_a_search_that_the_api_refuses_is_explained_above_nothing(service: Service) -> None:
    answer = service.get("/ui/checkpoints", params={"obs_dim": "many"})
    assert "obs_dim" in text_of(
        next(e for e in read_page(answer, 422).iter("div") if e.get("role") == "alert")
    )
    within = service.get("/ui/checkpoints", params={"metric_min": "1"}, headers={"HX-Request": "true"})
    assert "none is named" in text_of(read_fragment(within))


def test_pages_of_the_list_follow_one_another(
    service: Service, stored: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ui.checkpoints.PAGE_SIZE", 2)
    tree = read_page(service.get("/ui/checkpoints", params={"kind": "uploaded"}))
    assert not [a for a in tree.iter("a") if text_of(a) == "Older"]
    tree = read_page(service.get("/ui/checkpoints"))
    older = next(a.get("href", "") for a in tree.iter("a") if text_of(a) == "Older")
    rows = read_page(service.get(older)).findall(".//tbody/tr/th/a")
    assert text_of(rows[0]) == "monday"


def test_a_checkpoint_s_page_shows_what_the_api_says(service: Service, stored: dict[str, str]) -> None:
    detail: dict[str, Any] = service.get(f"/checkpoints/{stored['monday']}").json()
    tree = read_page(service.get(f"/ui/checkpoints/{stored['monday']}"))
    said = text_of(tree.find(".//main"))
    for fact in (detail["id"], detail["sha256"], "cleanrl", "@live", "baseline", "Nothing was noticed."):
        assert fact in said
    layers = rows_of(tree, f"{len(detail['report']['layers'])} layers, {detail['parameters']:,} parameters")
    assert [row[0] for row in layers] == [each["name"] for each in detail["report"]["layers"]]
    tensors = rows_of(tree, "All tensors of the file")
    assert [row[0] for row in tensors] == [each["name"] for each in detail["report"]["tensors"]]
    drawing = next(each for each in tree.iter("svg") if each.get("class") == "architecture")
    assert "Linear actor.0 6 → 8" in (drawing.get("aria-label") or "")
    hrefs = {a.get("href") for a in tree.iter("a")}
    assert f"/checkpoints/{detail['id']}/file" in hrefs


def test_a_checkpoint_is_found_by_its_alias(service: Service, stored: dict[str, str]) -> None:
    assert stored["monday"] in text_of(read_page(service.get("/ui/checkpoints/live")).find(".//main"))


def test_names_and_labels_of_others_are_text_never_markup(service: Service, stored: dict[str, str]) -> None:
    for path in ("/ui/checkpoints", f"/ui/checkpoints/{stored[EVIL]}", "/ui"):
        answer = service.get(path)
        assert EVIL in text_of(read_page(answer).find(".//main"))
        assert "<img" not in answer.text


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            {"complete": True, "format": "torch-zip", "producer": "caliper"},
            ("onnx", "safetensors", "sb3", "torch"),
        ),
        ({"complete": True, "format": "torch-zip", "producer": "cleanrl"}, ("safetensors", "torch")),
        ({"complete": False, "format": "torch-zip", "producer": "caliper"}, ()),
        ({"complete": True, "format": "safetensors", "producer": "cleanrl"}, ()),
    ],
)
def test_exports_are_offered_where_they_may_be_had(report: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert exports_of(report) == expected


def test_an_export_leads_to_its_bytes_or_says_why_there_are_none(service: Service) -> None:
    torch = pytest.importorskip("torch")
    held = io.BytesIO()
    torch.save({"actor.0.weight": torch.zeros(3, 6), "critic.0.weight": torch.zeros(1, 6)}, held)
    answer = service.post(
        "/checkpoints", files={"file": ("a.pt", held.getvalue())}, data={"name": "exported"}
    )
    made = answer.json()["id"]
    lead = service.get(f"/ui/checkpoints/{made}/export", params={"format": "safetensors"})
    assert (lead.status_code, lead.headers["location"]) == (
        303,
        f"/checkpoints/{made}/export?format=safetensors",
    )
    assert service.get(lead.headers["location"]).status_code == 200
    refused = service.get(f"/ui/checkpoints/{made}/export", params={"format": "sb3"})
    problem = service.get(f"/checkpoints/{made}/export", params={"format": "sb3"}).json()
    assert problem["detail"] in text_of(read_page(refused, problem["status"]).find(".//main"))
    read_page(service.get(f"/ui/checkpoints/{made}/export", params={"format": "zip"}), 422)
    service.http.delete(f"/checkpoints/{made}")


def test_labels_are_changed_by_a_form(service: Service) -> None:
    made = service.upload_checkpoint(name="its own", tags=["old"])
    form = {"name": "tuesday", "tags": " new , daily,, ", "aliases": "mine"}
    answer = service.post(f"/ui/checkpoints/{made['id']}/labels", data=form, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/checkpoints/{made['id']}")
    now = service.get("/checkpoints/mine").json()
    assert (now["id"], now["name"], now["tags"]) == (made["id"], "tuesday", ["daily", "new"])
    service.http.delete(f"/checkpoints/{made['id']}")


def test_a_label_that_the_api_refuses_is_explained(service: Service) -> None:
    made = service.upload_checkpoint(name="its own")
    path = f"/ui/checkpoints/{made['id']}/labels"
    read_page(service.post(path, data={"name": "x" * 201}, headers=SAME_ORIGIN), 422)
    too_long = service.post(path, data={"name": "x" * 2_000_000}, headers=SAME_ORIGIN)
    assert "1,048,576 bytes" in text_of(read_page(too_long, 413).find(".//main"))
    assert service.get(f"/checkpoints/{made['id']}").json()["name"] == "its own"
    service.http.delete(f"/checkpoints/{made['id']}")


def test_a_checkpoint_is_deleted_by_a_form(service: Service) -> None:
    made = service.upload_checkpoint(name="its own")
    answer = service.post(f"/ui/checkpoints/{made['id']}/delete", headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/checkpoints")
    assert "was deleted" in text_of(read_page(service.get(f"/ui/checkpoints/{made['id']}"), 404))
