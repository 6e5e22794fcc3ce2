"""The documentation page: everything it needs comes from the service itself."""

import re

from running_service import Service


def test_the_page_and_all_it_names_come_from_here(service: Service) -> None:
    page = service.get("/docs")
    assert page.status_code == 200
    named = re.findall(r'(?:src|href|data-openapi)="([^"]+)"', page.text)
    assert len(named) == 5
    for path in named:
        assert path.startswith("/")
        answer = service.get(path)
        assert answer.status_code == 200
        assert answer.content
    assert "<script>" not in page.text


def test_the_page_forbids_other_hosts(service: Service) -> None:
    policy = service.get("/docs").headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy


def test_static_files_are_those_of_the_folder_only(service: Service) -> None:
    for path in ("/static/../docs.py", "/static/%2e%2e/docs.py", "/static/", "/static/nope.js"):
        assert service.get(path).status_code == 404
