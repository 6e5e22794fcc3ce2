"""The /checkpoints operations: inspect, store, list, label, compare, delete; no file is ever run."""

import hashlib
import os
import pickle
from typing import Any

import httpx
import pytest
from factories import make_checkpoint
from running_service import Service, eventually, is_problem, safetensors_file

from app.checkpoint.report import CheckpointReport
from app.registry.checkpoints import add_checkpoint
from app.registry.database import Database
from app.settings import Settings


def inspect(
    service: Service, content: bytes, filename: str = "policy.safetensors", **form: Any
) -> httpx.Response:
    return service.post("/checkpoints/inspect", files={"file": (filename, content)}, data=form)


class Exploit:
    def __reduce__(self) -> Any:
        return os.system, ("touch canary-of-the-api",)


def test_an_upload_is_inspected_and_nothing_is_kept(service: Service) -> None:
    answer = inspect(service, safetensors_file(6, (8, 4)))
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert report["name"] == "policy.safetensors"
    assert report["format"] == "safetensors"
    assert report["architecture"]["hidden_dims"]["value"] == [8, 4]
    assert report["architecture"]["obs_dim"]["value"] == 6
    assert report["parameters"] == sum(layer["parameters"] for layer in report["layers"])
    assert report["bytes"]["total"] == len(safetensors_file(6, (8, 4)))
    assert service.get("/checkpoints").json()["items"] == []
    assert list(service.parts.storage.objects.rglob("*")) == []
    # The form is closed once the answer is on its way.
    eventually(lambda: list(service.parts.storage.incoming.iterdir()) == [])
    assert list(service.settings.spool_dir.iterdir()) == []


@pytest.mark.parametrize(
    "filename", ["../../../etc/passwd", "C:\\temp\\passwd", "/etc/passwd", "a\r\nb/passwd"]
)
def test_a_file_name_is_shown_by_its_last_part_and_never_used(service: Service, filename: str) -> None:
    assert inspect(service, safetensors_file(), filename).json()["name"] == "passwd"
    assert inspect(service, safetensors_file(), filename, name="mine").json()["name"] == "mine"


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 40, safetensors_file()[:200]])
@pytest.mark.parametrize("path", ["/checkpoints/inspect", "/checkpoints"])
def test_a_corrupt_upload_is_refused(service: Service, path: str, content: bytes) -> None:
    answer = service.post(path, files={"file": ("a.pt", content)})
    is_problem(answer, 422, "unreadable_checkpoint")
    assert service.get("/checkpoints").json()["items"] == []


def test_a_hostile_file_is_reported_and_not_run(service: Service) -> None:
    answer = inspect(service, pickle.dumps({"w": Exploit()}), "evil.pt")
    text = answer.text
    assert not os.path.exists("canary-of-the-api")  # noqa: PTH110
    assert answer.status_code in {200, 422}
    assert "system" in text


def test_an_upload_over_the_limit_is_refused(settings: Settings, make_service: Any) -> None:
    limit = len(safetensors_file())
    with make_service(settings.model_copy(update={"max_upload_bytes": limit})) as service:
        assert inspect(service, safetensors_file()).status_code == 200
        problem = is_problem(inspect(service, safetensors_file() + b"\0"), 413, "limit_exceeded")
        assert (problem["limit"], problem["actual"]) == (limit, limit + 1)


def test_a_checkpoint_is_stored_shown_and_listed(service: Service) -> None:
    stored = service.upload_checkpoint(name="monday", tags=["baseline", "daily"])
    assert stored["name"] == "monday"
    assert stored["tags"] == ["baseline", "daily"]
    assert stored["kind"] == "uploaded"
    assert stored["hidden_dims"] == [8, 4]
    assert stored["bytes"] == len(safetensors_file())
    assert service.get(f"/checkpoints/{stored['id']}").json() == stored
    assert CheckpointReport.from_plain(stored["report"]).parameters == stored["parameters"]
    (listed,) = service.get("/checkpoints").json()["items"]
    assert listed == {name: stored[name] for name in listed}
    assert "report" not in listed


def test_an_idempotency_key_makes_one_checkpoint(service: Service) -> None:
    def store(content: bytes) -> httpx.Response:
        files = {"file": ("a.safetensors", content)}
        return service.post("/checkpoints", files=files, headers={"Idempotency-Key": "k"})

    first, again = store(safetensors_file()), store(safetensors_file())
    assert first.json()["id"] == again.json()["id"]
    assert "idempotent-replay" not in first.headers
    assert again.headers["idempotent-replay"] == "true"
    assert again.headers["location"] == f"/checkpoints/{again.json()['id']}"
    is_problem(store(safetensors_file(fill=1)), 409, "idempotency_mismatch")
    assert len(service.get("/checkpoints").json()["items"]) == 1


def test_the_same_bytes_are_stored_once_and_under_one_name_are_one_checkpoint(service: Service) -> None:
    first = service.upload_checkpoint(name="monday", tags=["a"])
    files = {"file": ("other-file-name", safetensors_file())}
    again = service.post("/checkpoints", files=files, data={"name": "monday", "tags": ["b"]})
    assert again.headers["idempotent-replay"] == "true"
    assert again.json()["id"] == first["id"]
    assert again.json()["tags"] == ["a", "b"]
    other = service.upload_checkpoint(name="tuesday")
    assert other["id"] != first["id"]
    assert other["sha256"] == first["sha256"]
    stored = [path for path in service.parts.storage.objects.rglob("*") if path.is_file()]
    assert len(stored) == 1
    service.http.delete(f"/checkpoints/{first['id']}")
    renewed = service.upload_checkpoint(name="monday")
    assert renewed["id"] != first["id"]
    assert renewed["tags"] == []


def test_a_stated_hash_is_held_against_what_arrives(service: Service) -> None:
    files = {"file": ("a", safetensors_file())}
    right = hashlib.sha256(safetensors_file()).hexdigest()
    assert service.post("/checkpoints", files=files, data={"sha256": right}).status_code == 201
    problem = is_problem(
        service.post("/checkpoints", files=files, data={"sha256": "0" * 64, "name": "b"}),
        422,
        "invalid_input",
    )
    assert (problem["pointer"], problem["actual_sha256"]) == ("sha256", right)
    assert len(service.get("/checkpoints").json()["items"]) == 1


def test_either_a_file_or_an_upload_is_given(service: Service) -> None:
    nothing = service.post("/checkpoints", files={"name": (None, "x")})
    assert is_problem(nothing, 422, "invalid_input")["pointer"] == "file"
    both = service.post(
        "/checkpoints", files={"file": ("a", safetensors_file()), "upload": (None, "upload_1")}
    )
    is_problem(both, 422, "invalid_input")


def test_checkpoints_are_filtered(service: Service) -> None:
    small = service.upload_checkpoint(safetensors_file(6, (8, 4)), tags=["a"])
    large = service.upload_checkpoint(safetensors_file(6, (16,)), tags=["a", "b"])

    def ids(query: str) -> list[str]:
        return [item["id"] for item in service.get(f"/checkpoints?{query}").json()["items"]]

    assert ids("hidden_dims=8,4") == [small["id"]]
    assert ids("tag=a") == [large["id"], small["id"]]
    assert ids("tag=b&obs_dim=6") == [large["id"]]
    assert ids(f"sha256={small['sha256']}") == [small["id"]]
    assert ids("kind=uploaded&limit=1") == [large["id"]]
    assert ids(f"producer={small['producer']}") == [large["id"], small["id"]]
    assert ids("job=job_0") == ids("obs_dim=7") == []
    cursor = service.get("/checkpoints?limit=1").json()["next_cursor"]
    assert ids(f"limit=1&cursor={cursor}") == [small["id"]]


@pytest.mark.parametrize(
    "query",
    ["hidden_dims=8x4", "obs_dim=0", "obs_dim=99999999999999999999", "sha256=abc", "tag=%00", "job_id=x"],
)
def test_a_wrong_filter_is_refused(service: Service, query: str) -> None:
    is_problem(service.get(f"/checkpoints?{query}"), 422, "invalid_input")


def test_labels_are_replaced_and_an_alias_moves(service: Service) -> None:
    first, second = service.upload_checkpoint(), service.upload_checkpoint(fill_one())
    patched = service.http.patch(
        f"/checkpoints/{first['id']}", json={"aliases": ["live"], "tags": ["x"]}
    ).json()
    assert (patched["aliases"], patched["tags"], patched["name"]) == (["live"], ["x"], first["name"])
    assert service.get("/checkpoints/live").json()["id"] == first["id"]
    renamed = service.http.patch("/checkpoints/live", json={"name": "new"}).json()
    assert (renamed["name"], renamed["tags"]) == ("new", ["x"])
    service.http.patch(f"/checkpoints/{second['id']}", json={"aliases": ["live"]})
    assert service.get("/checkpoints/live").json()["id"] == second["id"]
    assert service.get(f"/checkpoints/{first['id']}").json()["aliases"] == []


def fill_one() -> bytes:
    return safetensors_file(fill=1)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tag": ["x"]}, "tag"),
        ({"tags": "x"}, "tags"),
        ({"tags": ["not a label"]}, "tags"),
        ({"tags": ["x"] * 51}, "tags"),
        ({"aliases": ["checkpoint_1"]}, "aliases"),
        ({"name": ""}, "name"),
    ],
)
def test_a_wrong_label_is_refused(service: Service, body: dict[str, Any], pointer: str) -> None:
    stored = service.upload_checkpoint()
    problem = is_problem(service.http.patch(f"/checkpoints/{stored['id']}", json=body), 422, "invalid_input")
    assert problem["pointer"].startswith(pointer)


def test_a_deleted_checkpoint_is_gone(service: Service) -> None:
    stored = service.upload_checkpoint()
    assert service.http.delete(f"/checkpoints/{stored['id']}").status_code == 204
    for path in ("", "/file"):
        is_problem(service.get(f"/checkpoints/{stored['id']}{path}"), 404, "not_found")
    assert service.get("/checkpoints").json()["items"] == []
    assert [path for path in service.parts.storage.objects.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_checkpoint_is_not_found(service: Service, method: str) -> None:
    body = {"json": {}} if method == "PATCH" else {}
    is_problem(service.http.request(method, "/checkpoints/nobody", **body), 404, "not_found")  # type: ignore[arg-type]


def test_registered_checkpoints_are_compared_by_id_and_alias(service: Service) -> None:
    left = service.upload_checkpoint(safetensors_file(6, (8, 4)), name="left")
    right = service.upload_checkpoint(safetensors_file(6, (8, 8)), name="right")
    service.http.patch(f"/checkpoints/{right['id']}", json={"aliases": ["diff"]})  # must not shadow the route
    diff = service.get(f"/checkpoints/diff?left={left['id']}&right=diff").json()
    assert (diff["left"], diff["right"]) == ("left", "right")
    changes = {change["name"]: (change["left"], change["right"]) for change in diff["architecture"]}
    assert changes["hidden_dims"] == ([8, 4], [8, 8])
    same = service.get(f"/checkpoints/diff?left={left['id']}&right={left['id']}").json()
    assert same["architecture"] == []


def test_uploads_are_compared_and_not_kept(service: Service) -> None:
    files = {"left": ("a.st", safetensors_file(6, (8,))), "right": ("b.st", safetensors_file(7, (8,)))}
    answer = service.post("/checkpoints/diff", files=files)
    assert answer.status_code == 200, answer.text
    assert {change["name"] for change in answer.json()["architecture"]} >= {"obs_dim"}
    assert service.get("/checkpoints").json()["items"] == []


def test_a_wrong_comparison_is_refused(service: Service) -> None:
    stored = service.upload_checkpoint()["id"]
    is_problem(service.get(f"/checkpoints/diff?left={stored}&right=nobody"), 404, "not_found")
    assert (
        is_problem(service.get(f"/checkpoints/diff?left={stored}"), 422, "invalid_input")["pointer"]
        == "right"
    )
    one = service.post("/checkpoints/diff", files={"left": ("a", safetensors_file())})
    assert is_problem(one, 422, "invalid_input")["pointer"] == "right"
    three = {name: (name, safetensors_file()) for name in ("left", "right", "middle")}
    is_problem(service.post("/checkpoints/diff", files=three), 422, "invalid_input")


def test_a_job_s_checkpoint_without_report_is_shown(service: Service, registry: Database) -> None:
    with registry.write() as session:
        row = add_checkpoint(session, make_checkpoint(hidden_dims=None, obs_dim=None))
    shown = service.get(f"/checkpoints/{row.id}").json()
    assert (shown["report"], shown["hidden_dims"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"alias": "live"}, ["monday"]),
        ({"name": "DAY"}, ["tuesday", "monday"]),
        ({"metric": "test.sharpe"}, ["tuesday"]),
        ({"metric": "test.sharpe", "metric_min": "1.25", "metric_max": "1.25"}, ["tuesday"]),
        ({"metric": "test.sharpe", "metric_min": "1.3"}, []),
    ],
    ids=str,
)
def test_the_list_is_filtered_by_alias_name_and_metric(
    service: Service, query: dict[str, str], expected: list[str]
) -> None:
    monday = service.upload_checkpoint(name="monday")
    service.http.patch(f"/checkpoints/{monday['id']}", json={"aliases": ["live"]})
    with service.parts.database.write() as session:
        row = make_checkpoint(id="checkpoint_" + "f" * 22, name="tuesday", metrics={"test": {"sharpe": 1.25}})
        add_checkpoint(session, row)
    found = service.get("/checkpoints", params=query).json()["items"]
    assert [each["name"] for each in found] == expected


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"metric_min": "1"}, "metric"),
        ({"metric": "test..sharpe"}, "metric"),
        ({"metric": "sharpe", "metric_max": "nan"}, "metric_max"),
        ({"metric": "sharpe", "metric_min": "much"}, "metric_min"),
    ],
    ids=str,
)
def test_a_metric_that_cannot_be_searched_for_is_refused(
    service: Service, query: dict[str, str], pointer: str
) -> None:
    problem = is_problem(service.get("/checkpoints", params=query), 422, "invalid_input")
    assert problem["pointer"] == pointer
