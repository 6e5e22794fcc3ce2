"""A number is a number and a truth value one, wherever a body asks for it; all else is left to the validation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import pytest
from job_rows import SPEC
from pydantic import Field
from running_service import Service, is_problem

from app.api.plain_values import require_plain
from app.errors import InvalidInput


@dataclass
class Inner:
    price: float
    either: int | str = 0


@dataclass
class Body:
    count: Annotated[int, Field(ge=1)]
    inner: Inner
    limit: int | None = None
    widths: tuple[int, ...] = ()
    flag: bool = False
    free: dict[str, Any] | None = None
    many: list[Inner] | None = None
    at: datetime | None = None


GOOD: dict[str, Any] = {"count": 1, "inner": {"price": 1}}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"limit": None},
        {"widths": [8, 8]},
        {"flag": True},
        {"at": "2026-11-23T09:00:00Z"},
        {"at": None},
        {"free": {"price": True, "count": "1"}},
        {"inner": {"price": 1.5, "either": "1"}},
        {"unknown": True},
        {"widths": "8,8"},
        {"inner": []},
    ],
)
def test_what_may_be_is_passed_on(more: dict[str, Any]) -> None:
    require_plain({**GOOD, **more}, Body)


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"count": True}, "count"),
        ({"count": "1"}, "count"),
        ({"limit": False}, "limit"),
        ({"widths": [8, True]}, "widths/1"),
        ({"inner": {"price": "1"}}, "inner/price"),
        ({"many": [{"price": 1}, {"price": False}]}, "many/1/price"),
        ({"flag": 0}, "flag"),
        ({"flag": "true"}, "flag"),
        ({"flag": 1.0}, "flag"),
        ({"at": 0}, "at"),
        ({"at": "1700000000"}, "at"),
    ],
)
def test_what_is_something_else_is_refused_with_its_place(more: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_plain({**GOOD, **more}, Body)
    assert refused.value.pointer == pointer


def test_a_body_that_is_no_object_is_left_to_the_validation() -> None:
    for value in (None, [], [1], "x", 1, True):
        require_plain(value, Body)
    require_plain({"a": True}, None)


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/uploads", {"name": "a", "bytes": True}, "bytes"),
        ("/uploads", {"name": "a", "bytes": "12"}, "bytes"),
        ("/jobs", {**SPEC, "total_timesteps": True}, "total_timesteps"),
        ("/jobs/preview", {**SPEC, "hidden_dims": [8, "8"]}, "hidden_dims/1"),
        ("/keys", {"name": "a", "role": "reader", "max_gpu_hours": False}, "max_gpu_hours"),
    ],
)
def test_the_operations_refuse_it(service: Service, path: str, body: Any, pointer: str) -> None:
    assert is_problem(service.post(path, json=body), 422, "invalid_input")["pointer"].endswith(pointer)
