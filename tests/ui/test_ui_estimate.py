"""The estimate's page shows what GET /estimate answers, of one network or of two, and its address holds it all."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree.ElementTree import Element

import pytest
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service

from app.api.calibration_example import MEASURED
from app.ui.figures import duration, share

QUERY = {"obs_dim": "5300", "hidden": "2048,1024,512,256"}
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def service(shared_service: Service) -> Service:
    return shared_service


def ask(service: Service, **query: Any) -> dict[str, Any]:
    answer = service.get("/estimate", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_the_parameters_are_those_of_the_api_layer_by_layer(service: Service) -> None:
    tree = read_page(service.get("/ui/estimate", params=QUERY))
    sized = ask(service, **QUERY)
    rows = rows_of(tree, f"{sized['parameters']:,} parameters")
    assert [(row[0], row[2]) for row in rows] == [
        (layer["name"], f"{layer['parameters']:,}") for layer in sized["layers"]
    ]
    assert rows[0][3] == "79.6%"
    bars = [bar for bar in tree.iter("svg") if bar.get("class", "").strip() == "bar"][: len(rows)]
    widths = [float(bar.findall("rect")[1].get("width") or 0) for bar in bars]
    assert widths == [pytest.approx(100 * layer["share"], abs=0.01) for layer in sized["layers"]]


def test_disk_and_memory_are_those_of_the_api(service: Service) -> None:
    tree = read_page(service.get("/ui/estimate", params=QUERY))
    sized = ask(service, **QUERY)
    files = {row[0].split(" ")[0]: row[-1] for row in rows_of(tree, "Exact sizes")}
    assert files["checkpoint"] == f"{sized['disk']['checkpoint']['bytes']:,}"
    assert files["safetensors"] == f"{sized['disk']['safetensors']['bytes']:,}"
    components = [row[0] for row in rows_of(tree, "What is on the device at the peak")]
    memory = sized["memory"]
    assert components == [each["name"] for each in (*memory["components"], *memory["overheads"])]


def test_every_card_has_its_verdict_and_every_tier_its_choice(service: Service) -> None:
    big = {**QUERY, "num_envs": "8192"}
    tree = read_page(service.get("/ui/estimate", params=big))
    sized = ask(service, **big)
    verdicts = [row[-2] for row in rows_of(tree, "What the run needs")]
    assert verdicts == ["fits" if card["fits"] else "too small" for card in sized["cards"]]
    assert len(set(verdicts)) == 2
    chosen = rows_of(tree, "For these observations")
    for row, tier in zip(chosen, sized["tier_defaults"], strict=True):
        assert row[0].startswith(tier["tier"])
        assert tier["reasons"]["hidden_dims"] in row[1]


def test_a_card_that_is_named_is_judged_first_with_what_would_fit(service: Service) -> None:
    tree = read_page(service.get("/ui/estimate", params={**QUERY, "gpu": "t4", "num_envs": "4096"}))
    notice = next(each for each in tree.iter("div") if "notice" in each.get("class", ""))
    assert text_of(notice).startswith("T4 does not fit needs ")
    assert "The nearest change that fits: num_envs=" in text_of(notice)


def facts_of(tree: Element) -> dict[str, str]:
    pairs = [each for each in tree.iter("div") if [part.tag for part in each] == ["dt", "dd"]]
    return {text_of(each[0]): text_of(each[1]) for each in pairs}


def test_hours_without_a_measured_device_are_bounds_and_said_to_be(service: Service) -> None:
    tree = read_page(service.get("/ui/estimate", params=QUERY))
    time = ask(service, **QUERY)["time"]
    assert time["basis"] == "uncalibrated"
    bounds = [duration(3_600 * time["hours"][end]) for end in ("low", "high")]
    said = " ".join(facts_of(tree)["hours of the run"].split())
    assert said == " ".join(f"{bounds[0]} to {bounds[1]} bounds, not a prediction".split())


def test_hours_are_those_of_a_measured_device(service: Service) -> None:
    assert service.post("/calibrations", json=MEASURED).status_code == 201
    query = {"obs_dim": "260", "hidden": "32,16", "device": "cpu", "calibration": MEASURED["device"]}
    tree = read_page(service.get("/ui/estimate", params=query))
    time = ask(service, **query)["time"]
    assert time["basis"] == "calibrated"
    likely = " ".join(duration(3_600 * time["hours"]["likely"]).split())
    assert " ".join(facts_of(tree)["hours of the run"].split()).startswith(likely)
    shares = [row[3] for row in rows_of(tree, "Parts of an update")]
    assert shares == [share(phase["share"]) for phase in time["phases"]]
    assert MEASURED["device"] in {text_of(each) for each in tree.iter("option")}


def test_a_second_network_stands_beside_the_first_on_one_scale(service: Service) -> None:
    tree = read_page(service.get("/ui/estimate", params={**QUERY, "b_hidden": "512,256"}))
    a, b = ask(service, **QUERY), ask(service, obs_dim=5300, hidden="512,256")
    assert rows_of(tree, "Both networks")[0][1:3] == [f"{a['parameters']:,}", f"{b['parameters']:,}"]
    second = next(bar for bar in tree.iter("svg") if bar.get("class") == "bar second")
    expected = 100 * b["layers"][0]["parameters"] / a["parameters"]
    assert float(second.findall("rect")[1].get("width") or 0) == pytest.approx(expected, abs=0.01)


def test_the_link_shows_the_same_again_and_leaves_out_what_holds_anyway(service: Service) -> None:
    asked = {**QUERY, "b_hidden": " 512,256 ", "num_envs": "64", "num_steps": "128", "action_dim": ""}
    first = service.get("/ui/estimate", params=asked)
    link = first.headers["hx-replace-url"]
    told = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    assert told == {**QUERY, "b_hidden": "512,256", "num_envs": "64"}
    assert service.get(link).text == first.text
    assert [a.get("href") for a in read_page(first).iter("a") if a.get("href") == link]


def test_what_is_asked_for_as_one_types_is_the_results_alone(service: Service) -> None:
    tree = read_fragment(service.get("/ui/estimate", params=QUERY, headers=HTMX))
    assert "Parameters by layer" in text_of(tree)
    assert tree.find(".//form") is None


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"obs_dim": "many", "hidden": "8"}, "obs_dim"),
        ({"obs_dim": "4", "hidden": "8,,4"}, "which is no width"),
        ({"obs_dim": "4", "hidden": ""}, "hidden"),
        ({"obs_dim": "4", "hidden": "8", "num_minibatches": "7"}, "does not divide"),
        ({"obs_dim": "4", "hidden": "8", "gpu": "voodoo"}, "voodoo"),
    ],
)
def test_a_mistake_is_explained_with_its_status_and_the_form_stays(
    service: Service, query: dict[str, str], said: str
) -> None:
    tree = read_page(service.get("/ui/estimate", params=query), 422)
    alert = next(each for each in tree.iter("div") if each.get("role") == "alert")
    assert said in text_of(alert)
    values = {each.get("name"): each.get("value") for each in tree.iter("input")}
    assert {name: values[name] for name in query} == query
    assert said in text_of(read_fragment(service.get("/ui/estimate", params=query, headers=HTMX)))


def test_a_mistake_in_the_second_network_leaves_the_first(service: Service) -> None:
    tree = read_page(service.get("/ui/estimate", params={**QUERY, "b_hidden": "x"}), 422)
    assert rows_of(tree, "13,643,908 parameters")
    assert "'x', which is no width" in text_of(tree.find(".//main"))


def test_the_form_has_every_parameter_that_the_api_documents(service: Service) -> None:
    document = service.get("/openapi.json").json()
    names = {each["name"] for each in document["paths"]["/estimate"]["get"]["parameters"]}
    tree = read_page(service.get("/ui/estimate"))
    shown = {each.get("name") for kind in ("input", "select") for each in tree.iter(kind)}
    assert names <= shown


def test_what_is_typed_is_never_markup(service: Service) -> None:
    evil = "\"><script>alert(1)</script><b a='"
    answer = service.get("/ui/estimate", params={"obs_dim": "4", "hidden": evil, "gpu": evil})
    assert "<script>alert" not in answer.text
    values = {each.get("name"): each.get("value") for each in read_page(answer, 422).iter("input")}
    assert (values["hidden"], values["gpu"]) == (evil, evil)
