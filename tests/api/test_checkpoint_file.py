"""Downloading a checkpoint: whole, in ranges, conditionally (RFC 9110 sections 13 and 14)."""

import hashlib
from typing import Any

import pytest
from factories import make_checkpoint
from running_service import Service, is_problem, safetensors_file

from app.api.checkpoint_file import holds_tag
from app.registry.checkpoints import add_checkpoint
from app.registry.database import Database

CONTENT = safetensors_file()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def path(service: Service) -> str:
    return f"/checkpoints/{service.upload_checkpoint(CONTENT)['id']}/file"


def test_the_whole_file_comes_with_its_hash(service: Service, path: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["etag"] == f'"{SHA256}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    name = path.split("/")[2]
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.safetensors"'


def test_an_alias_names_the_same_file(service: Service, path: str) -> None:
    service.http.patch(path.removesuffix("/file"), json={"aliases": ["live"]})
    assert service.get("/checkpoints/live/file").content == CONTENT


def test_head_tells_the_size_without_the_bytes(service: Service, path: str) -> None:
    answer = service.http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, len(CONTENT)),
        ("bytes=-7", len(CONTENT) - 7, len(CONTENT)),
        (f"bytes=-{10**9}", 0, len(CONTENT)),
        (f"bytes=5-{10**9}", 5, len(CONTENT)),
    ],
)
def test_a_range_is_answered_in_part(service: Service, path: str, asked: str, start: int, stop: int) -> None:
    answer = service.get(path, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
    assert answer.headers["etag"] == f'"{SHA256}"'


def test_several_ranges_come_as_parts(service: Service, path: str) -> None:
    answer = service.get(path, headers={"Range": "bytes=0-3,10-13"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")
    assert CONTENT[0:4] in answer.content
    assert CONTENT[10:14] in answer.content


@pytest.mark.parametrize("asked", [f"bytes={len(CONTENT)}-", "bytes=-0", "bytes=9-5", "bytes=x-y", "bytes="])
def test_a_range_outside_the_file_is_a_problem(service: Service, path: str, asked: str) -> None:
    answer = service.get(path, headers={"Range": asked})
    problem = is_problem(answer, 416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert problem["bytes"] == len(CONTENT)


def test_a_foreign_unit_is_ignored(service: Service, path: str) -> None:
    answer = service.get(path, headers={"Range": "lines=1-2"})
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize("tag", [f'"{SHA256}"', f'W/"{SHA256}"', "*", f'"other", "{SHA256}"'])
def test_a_client_that_has_the_file_gets_304(service: Service, path: str, tag: str) -> None:
    answer = service.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == f'"{SHA256}"'


def test_a_client_that_has_another_gets_this_one(service: Service, path: str) -> None:
    assert service.get(path, headers={"If-None-Match": '"other"'}).content == CONTENT
    assert not holds_tag(SHA256, SHA256)


@pytest.mark.parametrize(("tag", "status"), [(f'"{SHA256}"', 206), ('"other"', 200), (f'W/"{SHA256}"', 200)])
def test_a_range_is_given_only_of_the_file_that_was_begun(
    service: Service, path: str, tag: str, status: int
) -> None:
    answer = service.get(path, headers={"Range": "bytes=5-", "If-Range": tag})
    assert answer.status_code == status
    assert answer.content == (CONTENT[5:] if status == 206 else CONTENT)


def test_lost_bytes_are_not_found(service: Service, registry: Database) -> None:
    with registry.write() as session:
        row: Any = add_checkpoint(session, make_checkpoint())
    problem = is_problem(service.get(f"/checkpoints/{row.id}/file"), 404, "not_found")
    assert "missing" in problem["detail"]
