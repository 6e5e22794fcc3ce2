"""405 names every method that the path takes."""

import pytest
from running_service import Service, is_problem

from app.api.allowed import allowed_methods

DOCUMENT = {
    "paths": {
        "/jobs": {"get": {}, "post": {}},
        "/jobs/preview": {"post": {}},
        "/jobs/{job_id}": {"get": {}, "delete": {}},
        "/jobs/{job_id}/log": {"get": {}},
        "/jobs/{job_id}/chart.svg": {"get": {}},
    }
}


@pytest.mark.parametrize(
    ("path", "first", "allowed"),
    [
        ("/jobs", "GET", "GET, POST"),
        ("/jobs/a", "", "DELETE, GET"),
        ("/jobs/preview", "POST", "POST"),
        ("/jobs/a/log", "GET, HEAD", "GET, HEAD"),
        ("/jobs/a/chart_svg", "", ""),
        ("/ui/jobs", "GET", "GET"),
    ],
)
def test_the_methods_are_those_of_the_path_as_documented(path: str, first: str, allowed: str) -> None:
    assert allowed_methods(DOCUMENT, path, first) == allowed


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/datasets/x", "DELETE, GET"),
        ("/datasets/check", "POST"),
        ("/jobs", "GET, POST"),
        ("/uploads/x", "DELETE, GET, HEAD, PATCH"),
        ("/checkpoints/x", "DELETE, GET, PATCH"),
    ],
)
def test_a_wrong_method_is_told_all_right_ones(service: Service, path: str, allowed: str) -> None:
    answer = service.http.request("PUT", path)
    assert is_problem(answer, 405, "method_not_allowed")["hint"] == f"allowed: {allowed}"
    assert answer.headers["allow"] == allowed
