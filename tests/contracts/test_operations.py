"""Dashboard and alert rules ask for measurements that a running service has, and each alert says what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from conftest import RedisServer
from factories import make_dataset, make_job
from prometheus_client.parser import text_string_to_metric_families
from running_service import eventually, running

from app.registry.attempts import claim_job
from app.registry.consumption import note_taken
from app.registry.database import Database
from app.registry.jobs import add_job
from app.registry.metrics import record_progress
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "operations" / "grafana-dashboard.json").read_text())
RULES = yaml.safe_load((DOCS / "operations" / "alerts.yml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
SELECTOR = re.compile(r"([a-z_:][a-z0-9_:]*)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
PROMETHEUS_OWN = {"job", "instance", "le"}


def selectors(query: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """Every metric that a query names, with its matchers; the parser's own reading, written out again."""
    text = promql_parser.parse(query.replace("$job", "caliper")).prettify()
    for name, matchers in SELECTOR.findall(text):
        if name.startswith(("caliper_", "process_")):
            yield name, {label: (how, value) for label, how, value in MATCHER.findall(matchers)}


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> dict[str, list[dict[str, str]]]:
    """Name -> the labels of its samples, of a service with a worker, a running job and every kind of request."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("measured"), default_tier="cpu")
    redis = RedisServer(settings)
    redis.start()
    (settings.data_dir / "caliper.db").write_bytes(sqlite_template.read_bytes())
    registry = Database(settings.database_url)
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        job_id = add_job(session, make_job(dataset)).id
        register_worker(session, describe_worker("w", "caliper.cpu", "cpu", {}, {}))
        note_taken(session, "caliper.cpu", "w")
    with registry.write() as session:
        claim = claim_job(session, job_id, "w", 600)
        assert claim
        record_progress(session, claim.hold, 1, {"steps_per_second": 1.0, "memory_bytes": 1.0})
    try:
        with running(settings) as service:
            for path in ("/jobs", "/estimate?obs_dim=6&hidden=8", "/nowhere", "/readyz"):
                service.get(path)
            service.upload_checkpoint()
            eventually(lambda: service.get("/readyz").json()["parts"].get("queue:caliper.cpu") == "ok")
            text = service.get("/metrics").text
    finally:
        registry.close()
        redis.kill()
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


@pytest.mark.parametrize("query", [*QUERIES, *(alert["expr"] for alert in ALERTS)])
def test_a_query_asks_for_what_is_measured(query: str, measured: dict[str, list[dict[str, str]]]) -> None:
    asked = list(selectors(query))
    assert asked, query
    for name, matchers in asked:
        assert name in measured, f"{name} is not measured"
        for label, (how, value) in matchers.items():
            if label in PROMETHEUS_OWN:
                continue
            values = {labels[label] for labels in measured[name]}  # KeyError: it has no such label
            if label != "status":  # which statuses there were depends on the requests
                assert any(_matches(how, value, each) for each in values), (name, label, value, values)


def _matches(how: str, value: str, found: str) -> bool:
    if how in {"=", "!="}:
        return (found == value) == (how == "=")
    return bool(re.fullmatch(value, found)) == (how == "=~")


def test_every_measurement_is_documented_and_every_documented_one_exists(
    measured: dict[str, list[dict[str, str]]],
) -> None:
    page = (DOCS / "operations.md").read_text()
    documented = set(re.findall(r"`(caliper_\w+)`", page))
    own = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in measured
        if name.startswith("caliper_") and not name.endswith("_created")
    }
    assert own == documented


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_what_to_do_and_where_it_is_told(alert: dict[str, Any]) -> None:
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Caliper[A-Za-z]+", alert["alert"])
    assert re.fullmatch(r"\d+[smh]", alert.get("for", "0s"))
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "action", "runbook"}
    assert len(alert["annotations"]["action"]) > 20
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert anchor == alert["alert"].lower()
    text = (DOCS.parent / page).read_text()
    _, found, section = text.partition(f"### {alert['alert']}\n")
    assert found, "no section in the runbook"
    assert len(section.partition("###")[0].strip()) > 60


def test_every_section_of_the_runbook_has_its_alert() -> None:
    page = (DOCS / "operations.md").read_text()
    sections = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert sections == [alert["alert"] for alert in ALERTS]


def test_the_rules_are_of_the_form_that_prometheus_reads() -> None:
    assert set(RULES) == {"groups"}
    for group in RULES["groups"]:
        assert set(group) == {"name", "rules"}
    names = [alert["alert"] for alert in ALERTS]
    assert len(set(names)) == len(names)


def test_the_dashboard_is_of_the_form_that_grafana_reads() -> None:
    assert {"title", "uid", "panels", "schemaVersion", "templating", "time"} <= set(DASHBOARD)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "job"}
    for panel in PANELS:
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert [target["refId"] for target in panel["targets"]] == list("ABCDE")[: len(panel["targets"])]
        assert set(re.findall(r"\$(\w+)", " ".join(target["expr"] for target in panel["targets"]))) == {"job"}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_what_is_equal_in_each_process_is_never_added_up() -> None:
    """Gauges of the registry would count every API process once more."""
    equal = r"sum(?: by \([^)]*\))? ?\( ?caliper_(jobs|workers|queue|attempts|checkpoint|outbox|leases|disk)"
    for query in (*QUERIES, *(alert["expr"] for alert in ALERTS)):
        assert not re.search(equal, query), query
