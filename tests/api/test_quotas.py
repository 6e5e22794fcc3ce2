"""Quotas over real HTTP."""

from collections.abc import Iterator

import pytest
from factories import small_spec, upload_googl
from keyed_service import Keyed, keyed_service
from pydantic import TypeAdapter
from running_service import eventually, is_problem, safetensors_file

from app.jobs.spec import JobSpec
from app.registry.database import Database
from app.settings import Settings
from app.storage import INCOMING

SPEC = TypeAdapter(JobSpec).dump_python(small_spec(), mode="json", exclude_none=True)
CONTENT = safetensors_file()


@pytest.fixture
def keyed(settings: Settings, registry: Database) -> Iterator[Keyed]:
    with keyed_service(settings) as started:
        yield started


def test_open_jobs(keyed: Keyed) -> None:
    keyed.add("small", max_open_jobs=1)
    parts = keyed.service.parts
    upload_googl(parts.database, parts.storage, parts.settings)
    first = keyed.ask("small", "POST", "/jobs", json=SPEC, headers={"Idempotency-Key": "k"})
    assert first.status_code == 202
    problem = is_problem(keyed.ask("small", "POST", "/jobs", json=SPEC), 403, "quota_exceeded")
    assert (problem["quota"], problem["limit"], problem["used"]) == ("open jobs", 1, 1)
    again = keyed.ask("small", "POST", "/jobs", json=SPEC, headers={"Idempotency-Key": "k"})
    assert again.json()["id"] == first.json()["id"]  # what is there already adds nothing
    assert keyed.ask("small", "POST", f"/jobs/{first.json()['id']}/cancel").is_success
    assert keyed.ask("small", "POST", "/jobs", json=SPEC).status_code == 202
    resumed = keyed.ask("small", "POST", f"/jobs/{first.json()['id']}/resume")
    is_problem(resumed, 403, "quota_exceeded")


def test_upload_bytes(keyed: Keyed) -> None:
    size = len(CONTENT)
    keyed.add("small", max_upload_bytes=2 * size)

    def store(name: str, fill: int) -> object:
        files = {"file": ("m", safetensors_file(fill=fill))}
        return keyed.ask("small", "POST", "/checkpoints", files=files, data={"name": name})

    first = store("a", 1)
    assert first.status_code == 201  # type: ignore[attr-defined]
    assert store("a", 1).json()["id"] == first.json()["id"]  # type: ignore[attr-defined]
    wish = {"name": "u", "bytes": size}
    upload = keyed.ask("small", "POST", "/uploads", json=wish).json()["id"]
    problem = is_problem(store("b", 2), 403, "quota_exceeded")  # type: ignore[arg-type]
    assert (problem["limit"], problem["used"]) == (2 * size, 2 * size)
    refused = keyed.ask("small", "POST", "/uploads", json={"name": "v", "bytes": 1})
    is_problem(refused, 403, "quota_exceeded")
    part = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    keyed.ask("small", "PATCH", f"/uploads/{upload}", content=safetensors_file(fill=3), headers=part)
    finished = keyed.ask("small", "POST", "/checkpoints", files={"upload": (None, upload)})
    assert finished.status_code == 201, finished.text  # its own announcement does not count twice
    assert keyed.ask("small", "GET", "/keys/self").json()["upload_bytes"] == 2 * size
    keyed.ask("small", "DELETE", f"/checkpoints/{first.json()['id']}")  # type: ignore[attr-defined]
    assert store("b", 2).status_code == 201  # type: ignore[attr-defined]


def test_what_was_refused_leaves_no_bytes(keyed: Keyed) -> None:
    keyed.add("none", max_upload_bytes=0)
    answer = keyed.ask("none", "POST", "/checkpoints", files={"file": ("m", CONTENT)})
    is_problem(answer, 403, "quota_exceeded")
    bars = {"file": ("b.csv", open("examples/data/googl_1d.csv", "rb"))}  # noqa: PTH123, SIM115
    declared = {"name": "g", "calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
    with bars["file"][1]:
        answer = keyed.ask("none", "POST", "/datasets", files=bars, data=declared)
    is_problem(answer, 403, "quota_exceeded")
    folder = keyed.service.settings.artifacts_dir
    # What is left is no artifact: those lie under their hash.
    eventually(
        lambda: not [path.name for path in folder.rglob("*") if path.is_file() and len(path.name) >= 64]
    )
    eventually(lambda: not [path for path in (folder / INCOMING).rglob("*") if path.is_file()])
