"""What the OpenAPI document says of forms and streams is what the service takes and sends."""

from typing import Any

import pytest

from tests.contracts.test_openapi import make_document

FORMS = ("/checkpoints", "/checkpoints/inspect", "/checkpoints/diff", "/datasets", "/datasets/check")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_document(tmp_path_factory.mktemp("forms"))


@pytest.mark.parametrize("path", FORMS)
def test_a_form_is_multipart_and_none_of_its_fields_is_null(document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data"}
    name = content["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    assert all({"type": "null"} not in field.get("anyOf", ()) for field in schema["properties"].values())
    files = [field for field in schema["properties"].values() if "contentMediaType" in field]
    assert files
    assert all(field["type"] == "string" for field in files)


def test_no_parameter_is_null(document: dict[str, Any]) -> None:
    parameters = [
        (path, parameter)
        for path, item in document["paths"].items()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
    ]
    assert len(parameters) > 50
    for path, parameter in parameters:
        assert {"type": "null"} not in parameter["schema"].get("anyOf", ()), (path, parameter["name"])


def test_no_other_operation_takes_a_form(document: dict[str, Any]) -> None:
    with_forms = {
        path
        for path, item in document["paths"].items()
        for operation in item.values()
        if "multipart/form-data" in operation.get("requestBody", {}).get("content", {})
    }
    assert with_forms == set(FORMS)


def test_the_event_stream_is_described_event_by_event(document: dict[str, Any]) -> None:
    stream = document["paths"]["/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]
    assert set(stream["text/event-stream"]["schema"]["properties"]) == {"event", "id", "data"}
