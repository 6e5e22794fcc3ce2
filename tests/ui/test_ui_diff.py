"""Two checkpoints side by side: the verdicts of the API in words, differences first, the weights on request."""

from typing import Any

import pytest
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service, safetensors_file

from app.registry.tables import WeightsDiff

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
RESULT: dict[str, Any] = {
    "left": "monday",
    "right": "tuesday",
    "tensors": [],
    "skipped": [{"name": "actor.2.bias", "reason": "only in the <left> file"}],
    "identical": False,
    "bytes_read": 12,
    "explanation": "2 of 3 tensors differ",
}


@pytest.fixture(scope="module")
def service(shared_service: Service) -> Service:
    return shared_service


def distance(name: str, change: float | None, changed: int = 3) -> dict[str, Any]:
    return {
        "name": name,
        "right_name": name,
        "shape": [8, 6],
        "dtypes": ["float32", "float32"],
        "values": 48,
        "changed": changed,
        "max_absolute_change": 0.5,
        "max_relative_change": 2.0,
        "relative_change": change,
        "cosine": None if change is None else 0.99,
        "norm_left": 1.0,
        "norm_right": 1.0,
        "not_finite": [0, 0],
    }


@pytest.fixture(scope="module")
def pair(service: Service) -> dict[str, str]:
    a = service.upload_checkpoint(safetensors_file(6, (8, 4)), name="monday")
    b = service.upload_checkpoint(safetensors_file(6, (16, 8, 4)), name="tuesday")
    return {"a": a["id"], "b": b["id"]}


def test_the_verdicts_are_those_of_the_api_in_words(service: Service, pair: dict[str, str]) -> None:
    diff = service.get("/checkpoints/diff", params={"left": pair["a"], "right": pair["b"]}).json()
    tree = read_page(service.get("/ui/diff", params=pair))
    said = text_of(tree.find(".//main"))
    for part in ("loading", "inference", "lineage"):
        assert diff[part]["explanation"] in said
    assert "Does B load into A's network? does not load" in said
    assert diff["loading"]["message"].split()[0] in text_of(tree.find(".//pre"))
    assert f"+{diff['parameters_delta']:,}" in said


def test_what_differs_comes_before_what_is_the_same(service: Service, pair: dict[str, str]) -> None:
    answer = service.get("/ui/diff", params=pair)
    tree = read_page(answer)
    differ = rows_of(tree, "4 of 8 layers differ")
    assert [row[0] for row in differ] == ["inserted", "changed", "inserted", "changed"]
    assert rows_of(tree, "facts that differ")[0] == ["hidden_dims", "8, 4", "16, 8, 4"]
    assert len(rows_of(tree, "Layers that both have")) == 4
    places = [answer.text.index(text) for text in ("Does B load", "layers differ", "What is the same")]
    assert places == sorted(places)


def test_a_checkpoint_beside_itself_has_no_differences(service: Service, pair: dict[str, str]) -> None:
    tree = read_page(service.get("/ui/diff", params={"a": pair["a"], "b": pair["a"]}))
    said = text_of(tree.find(".//main"))
    assert "Nothing differs in layers, architecture, configuration, optimizer or features." in said
    assert "Does B load into A's network? loads" in said


def test_the_form_suggests_what_there_is_and_says_what_is_unknown(
    service: Service, pair: dict[str, str]
) -> None:
    tree = read_page(service.get("/ui/diff", params={"a": pair["a"]}))
    assert {pair["a"], pair["b"]} <= {each.get("value") for each in tree.iter("option")}
    unknown = service.get("/ui/diff", params={"a": pair["a"], "b": "nowhere"})
    assert "there is no checkpoint 'nowhere'" in text_of(read_page(unknown, 404).find(".//main"))


def test_the_weights_are_compared_on_request_and_waited_for(service: Service, pair: dict[str, str]) -> None:
    answer = service.post("/ui/diff/weights", data=pair, headers=SAME_ORIGIN)
    assert answer.status_code == 303, answer.text
    link = answer.headers["location"].partition("#")[0]
    tree = read_page(service.get(link))
    card = next(each for each in tree.iter("section") if each.get("hx-trigger") == "every 1s")
    assert "no worker is running" in text_of(card)
    assert (card.get("hx-get"), card.get("hx-target")) == (link, "#weights")
    read_fragment(service.get(link, headers={"HX-Request": "true"}))


def test_distances_are_shown_the_largest_change_first(service: Service, pair: dict[str, str]) -> None:
    asked = service.post("/ui/diff/weights", data=pair, headers=SAME_ORIGIN).headers["location"]
    link = asked.partition("#")[0]
    tensors = [distance("actor.0.weight", 0.1), distance("critic.0.weight", 0.4), distance("same", 0.0, 0)]
    with service.parts.database.write() as session:
        row = session.get(WeightsDiff, link.rpartition("=")[2])
        assert row is not None
        row.state = "succeeded"
        row.result = {**RESULT, "tensors": tensors, "total": distance("", 0.3)}
    tree = read_fragment(service.get(link, headers={"HX-Request": "true"}))
    assert [row[0] for row in rows_of(tree, "2 of 3 tensors differ")] == ["critic.0.weight", "actor.0.weight"]
    assert "only in the <left> file" in text_of(tree)
    assert "2 of 3 tensors differ" in text_of(tree)
    with service.parts.database.write() as session:
        row = session.get(WeightsDiff, link.rpartition("=")[2])
        assert row is not None
        row.result = {**RESULT, "tensors": [distance("a", None), *tensors], "total": distance("", None)}
    assert rows_of(read_page(service.get(link)), "3 of 4 tensors differ")


def test_a_comparison_that_failed_says_why(service: Service, pair: dict[str, str]) -> None:
    swapped = {"a": pair["b"], "b": pair["a"]}
    asked = service.post("/ui/diff/weights", data=swapped, headers=SAME_ORIGIN).headers["location"]
    with service.parts.database.write() as session:
        row = session.get(WeightsDiff, asked.partition("#")[0].rpartition("=")[2])
        assert row is not None
        row.state, row.error = (
            "failed",
            {"code": "error", "detail": "the files are gone", "hint": "store them"},
        )
    tree = read_page(service.get(asked.partition("#")[0]))
    alert = next(each for each in tree.iter("div") if each.get("role") == "alert")
    assert text_of(alert) == "the files are gone store them"
