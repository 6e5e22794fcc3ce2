"""A job whose minibatches do not fit: fails with the estimate beside it, or goes on where its config allows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from factories import small_spec, upload_googl

from app.actions.submit_job import submit_job
from app.registry.attempts import Claim, claim_job, interrupt_job
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.database import Database
from app.registry.events import events_after
from app.registry.jobs import get_job, resume
from app.registry.tables import Checkpoint, Job
from app.settings import Settings
from app.storage import FolderStorage
from worker import exits
from worker.ppo.network import NativeActorCritic
from worker.ppo.trainer import NativePPOTrainer
from worker.run import StopFlag, TrainingRun
from worker.save import load_checkpoint

LARGEST = 16
"""Samples of the largest minibatch that "fits"; the job asks for 128 in 4, which is 32."""


class Shop:
    """A registry with the shipped bars, where jobs are trained in this process."""

    def __init__(self, registry: Database, storage: FolderStorage, settings: Settings) -> None:
        self.registry, self.storage, self.settings = registry, storage, settings
        upload_googl(registry, storage, settings)

    def submit(self, **overrides: Any) -> Job:
        spec = small_spec(overrides={"num_envs": 4, "num_steps": 32, **overrides})
        return submit_job(self.registry, self.settings, spec).job

    def claim(self, job: Job) -> Claim:
        with self.registry.write() as session:
            claim = claim_job(session, job.id, "worker", 60)
        assert claim is not None
        return claim

    def run(self, claim: Claim, stop: StopFlag | None = None) -> int:
        return TrainingRun(self.settings, self.registry, claim.hold, stop or StopFlag()).execute()

    def job(self, job: Job) -> Job:
        with self.registry.read() as session:
            return get_job(session, job.id)

    def notes(self, job: Job) -> list[dict[str, Any]]:
        with self.registry.read() as session:
            events = events_after(session, job.id, 0, 99)
        return [event.data for event in events if "out of memory" in str(event.data.get("message"))]

    def final(self, job: Job) -> Checkpoint:
        with self.registry.read() as session:
            final = next(iter(list_checkpoints(session, limit=9, filters={"job_id": job.id})))
            session.refresh(final, ["config"])  # a list leaves it out
            return final


@pytest.fixture
def shop(registry: Database, storage: FolderStorage, settings: Settings) -> Shop:
    return Shop(registry, storage, settings)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory runs out at every minibatch of more than LARGEST samples."""
    evaluate: Callable[..., Any] = NativeActorCritic.evaluate

    def limited(network: NativeActorCritic, observed: Any, actions: torch.Tensor) -> Any:
        if len(actions) > LARGEST:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return evaluate(network, observed, actions)

    monkeypatch.setattr(NativeActorCritic, "evaluate", limited)


def run_out_once(context: pytest.MonkeyPatch) -> None:
    """Memory runs out at the first minibatch: a resumed run would fit as it was asked, and must not."""
    evaluate: Callable[..., Any] = NativeActorCritic.evaluate
    left = [1]

    def once(network: NativeActorCritic, observed: Any, actions: torch.Tensor) -> Any:
        if left and len(actions) > LARGEST:
            left.clear()
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return evaluate(network, observed, actions)

    context.setattr(NativeActorCritic, "evaluate", once)


@pytest.mark.usefixtures("narrow")
def test_without_leave_the_job_fails_with_the_estimate_beside_it(shop: Shop) -> None:
    job = shop.submit()
    assert shop.run(shop.claim(job)) == exits.DONE
    failed = shop.job(job)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "Tried to allocate" in failed.error["detail"]
    assert "oom_retry=true" in failed.error["hint"]
    assert failed.error["estimated_bytes"] == job.estimate["memory"]["total_bytes"]
    assert shop.notes(job) == []


@pytest.mark.usefixtures("narrow")
def test_with_leave_the_job_goes_on_and_says_what_was_asked_and_used(shop: Shop) -> None:
    job = shop.submit(oom_retry=True)
    assert shop.run(shop.claim(job)) == exits.DONE
    done = shop.job(job)
    assert (done.state, done.error) == ("succeeded", None)
    assert done.result is not None
    assert done.result["num_minibatches"] == {"asked": 4, "used": 8}
    (note,) = shop.notes(job)
    assert (note["update"], note["asked"], note["used"]) == (1, 4, 8)
    assert "Tried to allocate" in note["error"]
    final = shop.final(job)
    assert final.config["num_minibatches"] == 8
    assert final.bytes == final.predicted_bytes


def test_a_resumed_run_keeps_the_smaller_minibatches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for stop in (False, True):
        with monkeypatch.context() as context:
            job = shop.submit(oom_retry=True)
            claim = shop.claim(job)
            run_out_once(context)
            if stop:
                assert shop.run(claim, StopFlag(wanted=True)) == exits.STOPPED
                with shop.registry.write() as session:
                    interrupt_job(session, claim.hold, "test")
                claim = shop.claim(job)
            assert shop.run(claim) == exits.DONE
        assert shop.job(job).result["num_minibatches"] == {"asked": 4, "used": 8}  # type: ignore[index]
        files.append(load_checkpoint(shop.storage.path(shop.final(job).sha256))["policy_state_dict"])
    assert [name for name in files[0] if not torch.equal(files[0][name], files[1][name])] == []


@pytest.mark.usefixtures("narrow")
def test_where_nothing_fits_the_job_fails_and_says_what_was_tried(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.worker.test_run_out_of_memory.LARGEST", 0)
    job = shop.submit(oom_retry=True)
    assert shop.run(shop.claim(job)) == exits.DONE
    assert shop.job(job).state == "failed"
    assert [note["used"] for note in shop.notes(job)] == [8, 16, 32, 64, 128]


def test_where_memory_runs_out_in_the_evaluation_the_job_resumed_only_evaluates(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    job = shop.submit()
    with monkeypatch.context() as context:
        context.setattr("worker.assemble.examine", run_out)
        assert shop.run(shop.claim(job)) == exits.DONE
    failed = shop.job(job)
    assert (failed.state, failed.error["code"]) == ("failed", "out_of_device_memory")  # type: ignore[index]
    assert failed.error["detail"].startswith("all training is done")  # type: ignore[index]
    assert "Tried to allocate" in failed.error["detail"]  # type: ignore[index]
    assert "resume the job" in failed.error["hint"]  # type: ignore[index]
    assert failed.error["estimated_bytes"] == job.estimate["memory"]["total_bytes"]  # type: ignore[index]
    kept = shop.final(job)
    with shop.registry.write() as session:
        resume(session, job.id)
    claim = shop.claim(job)
    monkeypatch.setattr(NativePPOTrainer, "_run_update", run_out)
    assert shop.run(claim) == exits.DONE
    assert (shop.job(job).state, kept.kind) == ("succeeded", "stopped")
    weights = [load_checkpoint(shop.storage.path(each.sha256)) for each in (kept, shop.final(job))]
    for name, value in weights[0]["policy_state_dict"].items():
        assert torch.equal(value, weights[1]["policy_state_dict"][name])
