"""JSON that two parsers would read in two ways is refused, everything else is read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_service import Service, is_problem

from app.api.strict_json import read_json
from app.errors import InvalidInput

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(values)
def test_what_json_can_say_is_read(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "b": {"c": 1, "d": 2, "c": 3}}', "'c' is given twice"),
        ("[NaN]", "NaN"),
        ("[Infinity]", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("[1e999]", "too large"),
        ("-1e999", "too large"),
    ],
)
def test_what_it_cannot_say_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_json(text.encode())


def test_what_is_no_json_is_told_with_its_place() -> None:
    with pytest.raises(json.JSONDecodeError, match="column 7"):
        read_json(b'{"a": }')


def test_an_operation_refuses_a_field_that_is_given_twice(service: Service) -> None:
    content = b'{"name": "a", "bytes": 1, "name": "b"}'
    answer = service.post("/uploads", content=content, headers={"Content-Type": "application/json"})
    problem = is_problem(answer, 422, "invalid_input")
    assert (problem["pointer"], problem["detail"]) == ("name", "the field 'name' is given twice")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "x"])
def test_a_packed_body_is_refused(service: Service, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = service.post("/uploads", content=b'{"name": "a", "bytes": 1}', headers=headers)
    assert is_problem(answer, 422, "invalid_input")["pointer"] == "Content-Encoding"


def test_a_body_that_says_that_it_is_not_packed_is_read(service: Service) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "identity"}
    assert service.post("/uploads", content=b'{"name": "a", "bytes": 1}', headers=headers).status_code == 201
