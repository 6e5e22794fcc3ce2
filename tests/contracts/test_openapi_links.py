"""The links of the OpenAPI document lead to operations that exist, with parameters that they have."""

from pathlib import Path
from typing import Any

import pytest

from app.api.links import LINKS
from tests.contracts.test_openapi import make_document


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_document(tmp_path_factory.mktemp("links"))


def operations_by_id(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for item in document["paths"].values() for each in item.values()}


def test_every_link_leads_to_an_operation_with_such_parameters(document: dict[str, Any]) -> None:
    known = operations_by_id(document)
    for method, path, status in LINKS:
        links = document["paths"][path][method]["responses"][status]["links"]
        assert links, path
        for link in links.values():
            target = known[link["operationId"]]
            taken = {f"{each['in']}.{each['name']}".lower() for each in target["parameters"]}
            given = {name.lower() for name in link["parameters"]}
            assert given <= taken, link
            paths = {name for name in taken if name.startswith("path.")}
            assert paths <= given, link
            assert link["description"]


def fields_of(schema: Any, schemas: dict[str, Any]) -> set[str]:
    """Names of the fields that an answer of this schema may have, or the items of a list of such."""
    inner = [schema["items"]] if "items" in schema else schema.get("anyOf", [])
    found = schemas[schema["$ref"].rpartition("/")[2]]["properties"] if "$ref" in schema else {}
    return set(found).union(*(fields_of(each, schemas) for each in inner))


def test_every_link_finds_its_value_in_the_answer_s_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for method, path, status in LINKS:
        answer = document["paths"][path][method]["responses"][status]
        names = fields_of(answer["content"]["application/json"]["schema"], schemas)
        for link in answer["links"].values():
            for expression in link["parameters"].values():
                if expression.startswith("$response.header."):
                    assert expression.removeprefix("$response.header.") in answer["headers"]
                    continue
                first, *rest = expression.removeprefix("$response.body#/").split("/")
                assert (rest[0] if first.isdecimal() else first) in names, (path, expression)


def test_every_operation_on_one_thing_is_led_to(document: dict[str, Any]) -> None:
    """Whoever follows links finds all that can be done with an id."""
    linked = {
        link["operationId"]
        for method, path, status in LINKS
        for link in document["paths"][path][method]["responses"][status]["links"].values()
    }
    on_one = {
        each["operationId"]
        for path, item in document["paths"].items()
        if "{" in path
        for each in item.values()
    }
    assert on_one - linked == set()


def test_the_links_are_those_of_the_document_alone(document: dict[str, Any], tmp_path: Path) -> None:
    assert make_document(tmp_path)["paths"] == document["paths"]
