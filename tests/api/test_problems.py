"""Every error is a problem document, whoever raised it."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from running_service import Service, is_problem

from app import errors
from app.api.problems import AT_THE_GATE, Problem, answer_problem, install_handlers, responses, suggest
from app.api.security_headers import SECURITY_HEADERS
from app.errors import CaliperError, DoesNotFit, InvalidInput, LimitExceeded, NotFound, Unavailable


def subclasses(root: type[CaliperError]) -> list[type[CaliperError]]:
    return [root, *(each for child in root.__subclasses__() for each in subclasses(child))]


async def ask(error: Exception) -> httpx.Response:
    app = FastAPI()
    install_handlers(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get("/")


def answer_to(error: Exception) -> httpx.Response:
    import anyio

    return anyio.run(ask, error)


@pytest.mark.parametrize("kind", subclasses(CaliperError), ids=lambda kind: kind.__name__)
def test_every_error_of_the_tree_is_answered_with_its_status_and_code(kind: type[CaliperError]) -> None:
    is_limit = issubclass(kind, LimitExceeded)
    error = (
        kind("bytes", limit=1, actual=2) if is_limit else kind("what", hint="how", pointer="where", extra=[1])
    )
    problem = is_problem(answer_to(error), kind.status, kind.code)
    assert problem["title"] == kind.title
    if not is_limit:
        assert (problem["detail"], problem["hint"], problem["pointer"]) == ("what", "how", "where")
        assert problem["extra"] == [1]


def test_an_unexpected_error_shows_nothing_of_itself(capsys: Any) -> None:
    answer = answer_to(RuntimeError("password=hunter2"))
    problem = is_problem(answer, 500, "error")
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    logged = capsys.readouterr()
    assert problem["number"] in logged.out + logged.err


def test_an_unavailable_part_says_when_to_try_again() -> None:
    assert answer_to(Unavailable("away")).headers["retry-after"] == "5"
    assert "retry-after" not in answer_to(NotFound("gone")).headers


def test_values_that_json_has_not_become_null() -> None:
    answer = answer_problem(
        {"status": 422, "nan": float("nan"), "deep": [{"inf": float("inf")}], "odd": "\ud800"}
    )
    body = json.loads(bytes(answer.body))
    assert (body["nan"], body["deep"]) == (None, [{"inf": None}])
    assert body["odd"] == "\ud800"


@pytest.mark.parametrize("path", ["/nowhere", "/jobs/a/b/c", "/jobs/", "/.env"])
def test_an_unknown_route_is_a_problem(service: Service, path: str) -> None:
    is_problem(service.get(path), 404, "not_found")


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(service: Service) -> None:
    answer = service.http.delete("/estimate")
    problem = is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"
    assert problem["hint"] == "allowed: GET"


def test_answers_carry_the_security_headers(service: Service) -> None:
    for answer in (service.get("/healthz"), service.get("/nowhere"), service.get("/estimate")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert len(answer.headers.get_list("cache-control")) == 1


def test_an_unexpected_error_carries_them_too() -> None:
    """It is answered outside of the middleware that adds them."""
    headers = answer_to(RuntimeError("x")).headers
    assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_responses_are_made_of_the_tree() -> None:
    made = responses(NotFound, DoesNotFit)
    assert set(made) == {404, 422, 500} | {error.status for error in AT_THE_GATE}
    examples = made[422]["content"]["application/problem+json"]["examples"]
    assert set(examples) == {InvalidInput.code, DoesNotFit.code}
    assert examples["does_not_fit"]["value"]["status"] == 422
    assert "`does_not_fit`" in made[422]["description"]


def test_the_documented_members_are_those_of_a_problem() -> None:
    problem = InvalidInput("what", hint="how", pointer="where").problem()
    assert set(problem) <= set(Problem.__annotations__)


def test_suggest_names_the_nearest_first() -> None:
    assert suggest("hiden", ["obs_dim", "hidden"]) == "did you mean hidden? known: obs_dim, hidden"
    assert suggest("zzz", ["obs_dim"]) == "known: obs_dim"
    assert suggest("zzz", []) == "none is known here"


def test_the_tree_draws_every_error() -> None:
    drawn = errors.__doc__ or ""
    kinds = [kind for kind in subclasses(CaliperError) if kind.__module__ == errors.__name__]
    assert [kind.__name__ for kind in kinds if kind.__name__ not in drawn] == []
