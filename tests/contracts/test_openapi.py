"""The OpenAPI document is complete: every operation says what it does, shows an example, and names its errors."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.actions.show_queue import QueueState
from app.api import examples
from app.api.calibration_example import CALIBRATION, CALIBRATION_DETAIL
from app.api.calibration_view import CalibrationDetail, CalibrationView
from app.api.checkpoint_view import CheckpointDetail, CheckpointView
from app.api.dataset_check import EXAMPLE as CHECK_EXAMPLE
from app.api.dataset_check import DatasetCheck
from app.api.dataset_view import DatasetView
from app.api.estimate import SizedNetwork
from app.api.evaluation_example import REPORT as EVALUATION_EXAMPLE
from app.api.job_metrics import EXAMPLE as METRICS_EXAMPLE
from app.api.job_metrics import MetricPoints
from app.api.job_preview import EXAMPLE as PREVIEW_EXAMPLE
from app.api.job_preview import JobPreview
from app.api.job_view import JobDetail, JobView
from app.api.key_view import AuditView, KeyUse, KeyView
from app.api.keys import ENTRY, KEY, USE
from app.api.page import Page
from app.api.worker_view import WorkerView
from app.checkpoint.report import CheckpointReport
from app.jobs.spec import JobSpec
from app.main import create_app
from app.market.job_report import JobReport
from app.market.split_report import SplitReport
from app.settings import Settings

PROBLEM = {"$ref": "#/components/schemas/Problem"}
PATHS = {
    "/estimate": {"get"},
    "/tiers": {"get"},
    "/recommendation": {"get"},
    "/calibrations": {"get", "post"},
    "/calibrations/{calibration_id}": {"get"},
    "/datasets": {"get", "post"},
    "/datasets/check": {"post"},
    "/datasets/{dataset_id}": {"get", "delete"},
    "/datasets/{dataset_id}/splits": {"get"},
    "/datasets/{dataset_id}/chart.svg": {"get"},
    "/jobs": {"get", "post"},
    "/jobs/preview": {"post"},
    "/jobs/{job_id}": {"get"},
    "/jobs/{job_id}/cancel": {"post"},
    "/jobs/{job_id}/resume": {"post"},
    "/jobs/{job_id}/evaluation": {"get"},
    "/jobs/{job_id}/evaluation.html": {"get"},
    "/jobs/{job_id}/evaluation.png": {"get"},
    "/jobs/{job_id}/metrics": {"get"},
    "/jobs/{job_id}/events": {"get"},
    "/jobs/{job_id}/log": {"get"},
    "/checkpoints": {"get", "post"},
    "/checkpoints/inspect": {"post"},
    "/checkpoints/diff": {"get", "post"},
    "/checkpoints/diff/weights": {"post"},
    "/checkpoints/diff/weights/{diff_id}": {"get"},
    "/uploads": {"post"},
    "/uploads/{upload_id}": {"get", "head", "patch", "delete"},
    "/checkpoints/{checkpoint_id}": {"get", "patch", "delete"},
    "/checkpoints/{checkpoint_id}/file": {"get"},
    "/checkpoints/{checkpoint_id}/inspection": {"get"},
    "/checkpoints/{checkpoint_id}/export": {"get"},
    "/keys": {"get", "post"},
    "/keys/self": {"get"},
    "/keys/{key_id}": {"delete"},
    "/audit": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
    "/workers": {"get"},
    "/workers/{worker_id}/drain": {"post"},
    "/queue": {"get"},
}
"""Every path and its methods; clients rely on them."""


def make_document(folder: Path) -> dict[str, Any]:
    app = create_app(Settings(data_dir=folder))
    document: dict[str, Any] = app.openapi()
    app.state.parts.queue.close()
    app.state.parts.database.close()
    return document


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_document(tmp_path_factory.mktemp("openapi"))


OPERATIONS = [(path, method) for path, methods in PATHS.items() for method in sorted(methods)]
each_operation = pytest.mark.parametrize(("path", "method"), OPERATIONS)


def test_the_paths_are_exactly_these(document: dict[str, Any]) -> None:
    assert {path: set(item) for path, item in document["paths"].items()} == PATHS


@each_operation
def test_an_operation_says_what_it_does(document: dict[str, Any], path: str, method: str) -> None:
    operation = document["paths"][path][method]
    assert operation["summary"]
    assert len(operation["description"]) > 20
    assert operation["tags"]


@each_operation
def test_an_operation_shows_a_worked_example(document: dict[str, Any], path: str, method: str) -> None:
    answers = document["paths"][path][method]["responses"]
    success = {status: answer for status, answer in answers.items() if status.startswith("2")}
    assert success
    contents = [content for answer in success.values() for content in answer.get("content", {}).values()]
    assert all(content.get("example") for content in contents)
    assert contents or set(success) == {"204"}


@each_operation
def test_an_operation_names_its_errors(document: dict[str, Any], path: str, method: str) -> None:
    answers = document["paths"][path][method]["responses"]
    failures = {status: answer for status, answer in answers.items() if status >= "400"}
    assert {"422", "500"} <= set(failures)
    if "{" in path or method == "delete":
        assert "404" in failures
    if method in {"post", "patch"} and "requestBody" in document["paths"][path][method]:
        assert "413" in failures
    for status, answer in failures.items():
        assert set(answer["content"]) == {"application/problem+json"}
        content = answer["content"]["application/problem+json"]
        assert content["schema"] == PROBLEM
        for code, example in content["examples"].items():
            assert example["value"]["code"] == code
            assert str(example["value"]["status"]) == status
            assert f"`{code}`" in answer["description"]


@each_operation
def test_every_parameter_is_described(document: dict[str, Any], path: str, method: str) -> None:
    for parameter in document["paths"][path][method].get("parameters", []):
        assert parameter.get("description") or parameter["schema"].get("description"), parameter["name"]


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [document["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(set(ids)) == len(ids)


def test_the_framework_s_own_error_schemas_are_not_used(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    assert {"type", "title", "status", "code", "detail"} <= set(schemas["Problem"]["required"])
    assert schemas["Problem"]["properties"]["hint"]["description"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(each) for each in value.values()), set())
        return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()

    assert {ref.removeprefix("#/components/schemas/") for ref in references(document)} <= set(schemas)


def test_the_fields_of_answers_are_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in (
        "JobDetail",
        "DatasetView",
        "CheckpointDetail",
        "SizedNetwork",
        "Tier",
        "Recommendation",
        "CalibrationDetail",
        "Calibration",
        "JobSpec",
        "JobReport",
        "AssetReport",
        "Evaluation",
        "SpanResult",
    ):
        undescribed = [
            field for field, schema in schemas[name]["properties"].items() if "description" not in schema
        ]
        # a field that is a reference is described by what it refers to
        assert [field for field in undescribed if "$ref" not in schemas[name]["properties"][field]] == [], (
            name
        )


def test_the_report_s_schema_is_its_dataclass_every_field_described(document: dict[str, Any]) -> None:
    """Inspect answers it, a stored checkpoint carries it; nothing within it goes without words."""
    schemas, ref = document["components"]["schemas"], {"$ref": "#/components/schemas/CheckpointReport"}
    inspect = document["paths"]["/checkpoints/inspect"]["post"]["responses"]["200"]["content"]
    assert inspect["application/json"]["schema"] == ref
    assert ref in schemas["CheckpointDetail"]["properties"]["report"]["anyOf"]
    described = [field.name for field in dataclasses.fields(CheckpointReport)]
    assert list(schemas["CheckpointReport"]["properties"]) == described
    seen: set[str] = set()

    def follow(value: Any) -> None:
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                for field, schema in schemas[name]["properties"].items():
                    target = str(schema.get("$ref", "")).rpartition("/")[2]
                    words = schema.get("description") or schemas.get(target, {}).get("description")
                    assert words, f"{name}.{field}"
                follow(schemas[name])
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            follow(each)

    follow(ref)
    assert len(seen) >= 10, seen


@pytest.mark.parametrize(
    ("example", "kind"),
    [
        (examples.DATASET, DatasetView),
        (examples.CHECKPOINT, CheckpointView),
        (examples.CHECKPOINT_DETAIL, CheckpointDetail),
        (examples.JOB, JobView),
        (examples.JOB_DETAIL, JobDetail),
        (examples.WORKER, WorkerView),
        (CALIBRATION, CalibrationView),
        (CALIBRATION_DETAIL, CalibrationDetail),
        (examples.QUEUE, QueueState),
        (examples.SPLITS, SplitReport),
        (CHECK_EXAMPLE, DatasetCheck),
        (PREVIEW_EXAMPLE, JobPreview),
        (examples.page_of(examples.JOB), Page[JobView]),
        (METRICS_EXAMPLE, MetricPoints),
        (EVALUATION_EXAMPLE, JobReport),
        (KEY, KeyView),
        (USE, KeyUse),
        (ENTRY, AuditView),
    ],
    ids=str,
)
def test_the_examples_are_what_is_answered(example: dict[str, Any], kind: Any) -> None:
    adapter = TypeAdapter(kind)
    shown = adapter.dump_python(adapter.validate_python(copy.deepcopy(example)), mode="json")
    assert shown == example


def test_the_estimate_s_example_is_computed(document: dict[str, Any]) -> None:
    answer = document["paths"]["/estimate"]["get"]["responses"]["200"]
    example = answer["content"]["application/json"]["example"]
    assert TypeAdapter(SizedNetwork).validate_python(example).parameters == examples.SIZED.parameters


def test_the_examples_of_a_job_are_specs(document: dict[str, Any]) -> None:
    body = document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]
    for example in body["examples"].values():
        TypeAdapter(JobSpec).validate_python(example["value"])


def test_the_document_is_the_same_each_time(document: dict[str, Any], tmp_path: Path) -> None:
    assert make_document(tmp_path) == document
