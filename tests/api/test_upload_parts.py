"""Uploads in parts: over breaks and restarts, in order, within limits, held against the stated hash."""

import hashlib
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from running_service import Service, eventually, is_problem, safetensors_file

from app.actions.sweep_uploads import sweep_uploads
from app.registry.tables import Upload, utc_now
from app.settings import MIB, Settings
from app.storage.uploads import lock_file

FILE = safetensors_file(60, (80, 40))


def begin(service: Service, content: bytes = FILE, **more: Any) -> dict[str, Any]:
    answer = service.post("/uploads", json={"name": "model", "bytes": len(content), **more})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def send(service: Service, upload: str, offset: int, content: Any) -> httpx.Response:
    return service.http.patch(f"/uploads/{upload}", content=content, headers={"Upload-Offset": str(offset)})


def finish(service: Service, upload: str, **form: Any) -> httpx.Response:
    fields = {name: (None, value) for name, value in {"upload": upload, **form}.items()}
    return service.post("/checkpoints", files=fields)


def test_a_file_in_parts_becomes_a_checkpoint(service: Service) -> None:
    upload = begin(service, sha256=hashlib.sha256(FILE).hexdigest())
    assert (upload["received"], upload["checkpoint_id"]) == (0, None)
    for start in range(0, len(FILE), 9_000):
        answer = send(service, upload["id"], start, FILE[start : start + 9_000])
        assert answer.status_code == 200, answer.text
        received = min(start + 9_000, len(FILE))
        assert (answer.json()["received"], answer.headers["upload-offset"]) == (received, str(received))
    stored = finish(service, upload["id"], tags="baseline")
    assert stored.status_code == 201, stored.text
    row = stored.json()
    assert (row["name"], row["tags"], row["bytes"]) == ("model", ["baseline"], len(FILE))
    assert service.parts.storage.path(row["sha256"]).read_bytes() == FILE
    assert list(service.parts.storage.incoming.iterdir()) == []
    again = finish(service, upload["id"])
    assert (again.json()["id"], again.headers["idempotent-replay"]) == (row["id"], "true")
    assert service.get(f"/uploads/{upload['id']}").json()["checkpoint_id"] == row["id"]


def test_the_same_file_announced_again_goes_on(service: Service) -> None:
    digest = hashlib.sha256(FILE).hexdigest()
    upload = begin(service, sha256=digest)
    send(service, upload["id"], 0, FILE[:500])
    again = begin(service, sha256=digest)
    assert (again["id"], again["received"]) == (upload["id"], 500)
    assert begin(service)["id"] != upload["id"]  # without a hash nobody knows that it is the same file


def test_an_upload_outlives_the_service(settings: Settings, make_service: Any, registry: Any) -> None:
    with make_service(settings) as service:
        upload = begin(service)
        send(service, upload["id"], 0, FILE[:1000])
    with make_service(settings) as service:
        asked = service.http.head(f"/uploads/{upload['id']}")
        assert (asked.status_code, asked.headers["upload-offset"]) == (204, "1000")
        assert asked.headers["upload-length"] == str(len(FILE))
        assert send(service, upload["id"], 1000, FILE[1000:]).status_code == 200
        assert finish(service, upload["id"]).status_code == 201


@pytest.mark.parametrize(("offset", "word"), [(0, "overlaps"), (99, "overlaps"), (101, "gap"), (5000, "gap")])
def test_a_part_out_of_order_is_refused(service: Service, offset: int, word: str) -> None:
    upload = begin(service)
    send(service, upload["id"], 0, FILE[:100])
    problem = is_problem(send(service, upload["id"], offset, FILE[offset:]), 409, "conflict")
    assert word in problem["detail"]
    assert problem["received"] == 100
    assert problem["pointer"] == "Upload-Offset"
    assert service.get(f"/uploads/{upload['id']}").json()["received"] == 100


def test_a_part_past_the_end_is_dropped_whole(service: Service) -> None:
    upload = begin(service, FILE[:1000])
    send(service, upload["id"], 0, FILE[:600])
    problem = is_problem(send(service, upload["id"], 600, FILE[600:1001]), 413, "limit_exceeded")
    assert (problem["limit"], problem["actual"]) == (1000, 1001)
    assert service.get(f"/uploads/{upload['id']}").json()["received"] == 600


def test_what_arrived_before_a_break_is_kept(service: Service) -> None:
    large = safetensors_file(2000, (128,))

    def received() -> int:
        return int(service.get(f"/uploads/{upload['id']}").json()["received"])

    def breaking() -> Iterator[bytes]:
        yield large[: MIB + 500_000]
        eventually(lambda: received() >= MIB)
        raise ConnectionError("the cable")

    upload = begin(service, large)
    with httpx.Client(base_url=service.url) as other, pytest.raises(ConnectionError):
        other.patch(f"/uploads/{upload['id']}", content=breaking(), headers={"Upload-Offset": "0"})
    # The broken request may still hold the file for a moment.
    eventually(lambda: send_rest(service, upload["id"], large))
    assert finish(service, upload["id"]).status_code == 201


def send_rest(service: Service, upload: str, content: bytes) -> bool:
    at = service.get(f"/uploads/{upload}").json()["received"]
    return at == len(content) or send(service, upload, at, content[at:]).status_code == 200


def test_two_writers_do_not_mix(service: Service) -> None:
    upload = begin(service)
    part = service.parts.storage.waiting(upload["id"])
    import fcntl

    with part.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        problem = is_problem(send(service, upload["id"], 0, FILE), 409, "conflict")
    assert "another request" in problem["detail"]
    assert part.stat().st_size == 0


def test_an_upload_that_is_not_whole_is_not_registered(service: Service) -> None:
    upload = begin(service)
    send(service, upload["id"], 0, FILE[:-1])
    problem = is_problem(finish(service, upload["id"]), 409, "conflict")
    assert problem["received"] == len(FILE) - 1
    assert service.get("/checkpoints").json()["items"] == []
    assert send(service, upload["id"], len(FILE) - 1, FILE[-1:]).status_code == 200
    assert finish(service, upload["id"]).status_code == 201
    is_problem(send(service, upload["id"], 0, FILE), 409, "conflict")


def test_bytes_of_another_hash_are_dropped(service: Service) -> None:
    upload = begin(service, sha256="0" * 64)
    send(service, upload["id"], 0, FILE)
    assert is_problem(finish(service, upload["id"]), 422, "invalid_input")["pointer"] == "sha256"
    assert service.get(f"/uploads/{upload['id']}").json()["received"] == 0
    assert service.get("/checkpoints").json()["items"] == []


def test_what_is_no_checkpoint_is_refused_when_it_is_finished(service: Service) -> None:
    upload = begin(service, b"hello" * 100)
    send(service, upload["id"], 0, b"hello" * 100)
    is_problem(finish(service, upload["id"]), 422, "unreadable_checkpoint")
    assert service.parts.storage.waiting(upload["id"]).stat().st_size == 0


def test_limits_are_kept(settings: Settings, make_service: Any, registry: Any) -> None:
    small = settings.model_copy(update={"max_upload_bytes": 2000, "max_open_uploads": 2})
    with make_service(small) as service:
        too_large = service.post("/uploads", json={"name": "m", "bytes": 2001})
        assert is_problem(too_large, 413, "limit_exceeded")["limit"] == 2000
        begin(service, FILE[:10])
        upload = begin(service, FILE[:10])
        third = service.post("/uploads", json={"name": "m", "bytes": 10})
        assert is_problem(third, 413, "limit_exceeded")["limit_name"] == "unfinished uploads"
        assert len(list(service.parts.storage.incoming.iterdir())) == 2
        assert service.http.delete(f"/uploads/{upload['id']}").status_code == 204
        is_problem(service.get(f"/uploads/{upload['id']}"), 404, "not_found")
        begin(service, FILE[:10])


def test_expired_uploads_are_swept_with_their_bytes(service: Service) -> None:
    old, kept = begin(service), begin(service)
    send(service, old["id"], 0, FILE[:100])
    expire(service, old["id"])
    is_problem(send(service, old["id"], 100, FILE[100:]), 404, "not_found")
    orphan = service.parts.storage.incoming / "1234-left-by-a-killed-process"
    orphan.write_bytes(b"x")
    long_ago = time.time() - 10 * service.settings.upload_ttl_seconds
    os.utime(orphan, (long_ago, long_ago))
    new = begin(service)
    waiting = {path.name for path in service.parts.storage.incoming.iterdir()}
    assert waiting == {kept["id"], new["id"]}


def expire(service: Service, upload: str) -> None:
    with service.parts.database.write() as session:
        session.get(Upload, upload).expires_at = utc_now() - timedelta(seconds=1)


def test_the_running_service_sweeps_by_itself(service: Service) -> None:
    """No upload begins: the room comes back all the same."""
    old, kept = begin(service), begin(service)
    send(service, old["id"], 0, FILE[:100])
    expire(service, old["id"])
    service.parts.upload_sweep.wake()
    gone = service.parts.storage.waiting(old["id"])
    eventually(lambda: not gone.exists())
    assert service.parts.storage.waiting(kept["id"]).exists()
    eventually(lambda: not known(service, old["id"]))
    assert known(service, kept["id"])


def known(service: Service, upload: str) -> bool:
    with service.parts.database.read() as session:
        return session.get(Upload, upload) is not None


def test_a_part_on_its_way_outlasts_the_sweep(service: Service) -> None:
    """A slow line may need longer for one part than an upload is kept after its last."""
    upload = begin(service)
    send(service, upload["id"], 0, FILE[:100])
    with lock_file(service.parts.storage.waiting(upload["id"])) as part:
        expire(service, upload["id"])
        assert sweep_uploads(service.parts.database, service.parts.storage, service.settings) == 0
        part.write(FILE[100:200])
    assert service.get(f"/uploads/{upload['id']}").json()["received"] == 200
    assert send(service, upload["id"], 200, FILE[200:]).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "m"}, "bytes"),
        ({"name": "m", "bytes": 0}, "bytes"),
        ({"name": "", "bytes": 1}, "name"),
        ({"name": "m", "bytes": 1, "sha256": "abc"}, "sha256"),
        ({"name": "m", "bytes": 1, "path": "/etc/passwd"}, "path"),
    ],
)
def test_a_wrong_announcement_is_refused(service: Service, body: dict[str, Any], pointer: str) -> None:
    problem = is_problem(service.post("/uploads", json=body), 422, "invalid_input")
    assert problem["pointer"].startswith(pointer)


@pytest.mark.parametrize("upload", ["nobody", "upload_" + "0" * 22, "..%2f..%2fetc%2fpasswd"])
def test_an_unknown_upload_is_not_found(service: Service, upload: str) -> None:
    assert service.http.head(f"/uploads/{upload}").status_code == 404
    assert service.get(f"/uploads/{upload}").status_code == 404
    assert send(service, upload, 0, b"x").status_code == 404
    assert service.http.delete(f"/uploads/{upload}").status_code == 404


def test_a_part_without_its_offset_is_refused(service: Service) -> None:
    upload = begin(service)
    answer = service.http.patch(f"/uploads/{upload['id']}", content=b"x")
    assert "upload-offset" in is_problem(answer, 422, "invalid_input")["pointer"].lower()
