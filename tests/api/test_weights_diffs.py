"""Comparisons of weights over HTTP: asked for, answered by a worker's thread, taken up again after a break."""

import io
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from running_service import Service, eventually, is_problem, safetensors_file

from app.actions.compare_weights import answer_weights_diff, request_weights_diff
from app.checkpoint.inspect import inspect_checkpoint
from app.registry.database import Database, new_id
from app.registry.tables import Checkpoint, WeightsDiff
from app.registry.weights_diffs import (
    claim_diff,
    find_diff,
    finish_diff,
    is_held,
    release_diff,
    renew_diff,
    request_diff,
)
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings
from app.storage import Storage
from worker.compare import Comparer


@pytest.fixture
def comparer(settings: Settings, registry: Database) -> Iterator[Comparer]:
    """What a worker's main process runs beside its training."""
    comparer = Comparer(settings)
    comparer.start()
    yield comparer
    comparer.stop()


def filled(value: float) -> bytes:
    """The hand-written policy with every value the same."""
    file = safetensors_file()
    start = 8 + int.from_bytes(file[:8], "little")
    return file[:start] + struct.pack("<f", value) * ((len(file) - start) // 4)


def test_two_registered_checkpoints_are_compared(service: Service, comparer: Comparer) -> None:
    left = service.upload_checkpoint(filled(1.0), name="left")
    right = service.upload_checkpoint(filled(1.5), name="right")
    service.http.patch(f"/checkpoints/{right['id']}", json={"aliases": ["weights"]})
    asked = service.post(f"/checkpoints/diff/weights?left={left['id']}&right=weights")
    assert asked.status_code == 202, asked.text
    place = asked.headers["location"]
    assert (asked.json()["left_id"], asked.json()["right_id"]) == (left["id"], right["id"])
    done = eventually(lambda: (shown := service.get(place).json())["state"] == "succeeded" and shown)
    result = done["result"]
    assert (result["left"], result["right"], result["identical"]) == ("left", "right", False)
    assert result["total"]["values"] == left["parameters"]
    for row in [*result["tensors"], result["total"]]:
        assert row["max_absolute_change"] == row["max_relative_change"] == row["relative_change"] == 0.5
        assert row["cosine"] == pytest.approx(1.0)
    again = service.post(f"/checkpoints/diff/weights?left={left['id']}&right=weights")
    assert again.json() == done


def test_a_comparison_that_cannot_be_made_says_why(service: Service, comparer: Comparer) -> None:
    stored = service.upload_checkpoint()
    service.parts.storage.remove(stored["sha256"])
    asked = service.post(f"/checkpoints/diff/weights?left={stored['id']}&right={stored['id']}")
    place = asked.headers["location"]
    done = eventually(lambda: (shown := service.get(place).json())["state"] == "failed" and shown)
    assert (done["result"], done["error"]["code"]) == (None, "not_found")
    service.upload_checkpoint(name="the bytes are back")
    service.post(f"/checkpoints/diff/weights?left={stored['id']}&right={stored['id']}")
    eventually(lambda: service.get(place).json()["state"] == "succeeded")


def test_unknown_checkpoints_and_comparisons_are_not_found(service: Service) -> None:
    is_problem(service.post("/checkpoints/diff/weights?left=a&right=b"), 404, "not_found")
    is_problem(service.get("/checkpoints/diff/weights/weights_1"), 404, "not_found")
    is_problem(service.post("/checkpoints/diff/weights?left=a"), 422, "invalid_input")


def test_the_api_only_writes_the_wish_down_and_says_what_it_waits_for(service: Service) -> None:
    stored = service.upload_checkpoint()
    asked = service.post(f"/checkpoints/diff/weights?left={stored['id']}&right={stored['id']}").json()
    assert (asked["state"], asked["waiting"]) == ("queued", "no worker is running")
    place = f"/checkpoints/diff/weights/{asked['id']}"
    with service.parts.database.write() as session:
        register_worker(session, describe_worker("w", "caliper.cpu", "cpu", {}, {}))
    assert service.get(place).json()["waiting"] == "a worker takes it up within seconds"
    with service.parts.database.write() as session:
        held = claim_diff(session, 60)
        assert held is not None
    shown = service.get(place).json()
    assert (shown["state"], shown["waiting"]) == ("running", None)
    with service.parts.database.write() as session:
        assert renew_diff(session, held.id, held.fence, -1)
    assert service.get(place).json()["waiting"] == "a worker takes it up within seconds"


def test_one_that_a_dead_worker_left_is_taken_up_by_the_next(service: Service, settings: Settings) -> None:
    stored = service.upload_checkpoint()
    with service.parts.database.write() as session:
        row = request_diff(session, stored["id"], stored["id"])
        row.state, row.fence, row.lease_expires_at = "running", 7, 1.0
    place = f"/checkpoints/diff/weights/{row.id}"
    shown = service.get(place).json()
    assert (shown["state"], shown["waiting"]) == ("running", "no worker is running")
    assert answer_weights_diff(service.parts.database, service.parts.storage)
    done = service.get(place).json()
    assert (done["state"], done["waiting"]) == ("succeeded", None)
    with service.parts.database.read() as session:
        assert find_diff(session, row.id).fence == 8


def checkpoint(session: Any) -> Checkpoint:
    row = Checkpoint(
        id=new_id("checkpoint"), name="a", kind="uploaded", sha256="0" * 64, bytes=1, producer="x", parameters=1,
        report=inspect_checkpoint(io.BytesIO(safetensors_file())).plain(),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def test_a_comparison_is_claimed_once_and_finished_by_its_holder(database: Database) -> None:
    with database.write() as session:
        one, two = checkpoint(session).id, checkpoint(session).id
        first = request_diff(session, one, two).id
        assert request_diff(session, one, two).id == first
        second = request_diff(session, two, one).id
        assert second != first
    with database.write() as session:
        held = claim_diff(session, 60)
        assert held is not None
        assert (held.id, held.fence, held.attempts) == (first, 1, 1)
    with database.write() as session:
        another = claim_diff(session, 60)  # by another worker
        assert another is not None
        assert another.id == second
        assert release_diff(session, second, 1)  # which is asked to stop
        assert not release_diff(session, second, 1)
        assert is_held(session, first)
        assert not is_held(session, second)
        assert renew_diff(session, first, 1, -1)  # its worker falls silent
        assert not is_held(session, first)
    with database.write() as session:
        taken = claim_diff(session, 60)
        assert taken is not None
        assert (taken.id, taken.fence, taken.attempts) == (first, 2, 2)
        assert not renew_diff(session, first, 1, 60)
        assert not finish_diff(session, first, 1, result={"stale": True})
        assert finish_diff(session, first, 2, result={"right": True})
        assert not finish_diff(session, first, 2, error={})
    with database.write() as session:
        assert session.get(WeightsDiff, first).result == {"right": True}
        following = claim_diff(session, 60)
        assert following is not None
        assert (following.id, following.fence, following.attempts) == (second, 2, 1)  # a stop is no death


def test_a_comparison_that_kills_its_worker_again_and_again_fails(
    registry: Database, storage: Storage
) -> None:
    with registry.write() as session:
        one = checkpoint(session).id
    row = request_weights_diff(registry, one, one)
    with registry.write() as session:
        session.get(WeightsDiff, row.id).attempts = 3
    assert answer_weights_diff(registry, storage)
    assert not answer_weights_diff(registry, storage)
    with registry.read() as session:
        failed = find_diff(session, row.id)
        assert (failed.state, failed.error["code"]) == ("failed", "unavailable")
