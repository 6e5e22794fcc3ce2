"""One attempt, run in this process: trains, keeps, resumes bit by bit, finishes, and gives way."""

import dataclasses
import io
from typing import Any

import pytest
import torch
from factories import make_checkpoint, small_spec, upload_googl

from app.actions.accept_dataset import accept_dataset
from app.actions.cancel_job import cancel_job
from app.actions.export_checkpoint import export_checkpoint
from app.actions.submit_job import submit_job
from app.market.trading import RETAIL_COSTS, ActionSpec, EnvSpec
from app.registry.attempts import Claim, claim_job, interrupt_job, list_attempts, stop_job
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import add_checkpoint
from app.registry.database import Database
from app.registry.events import events_after
from app.registry.jobs import get_job, resume
from app.registry.metrics import list_metrics
from app.registry.tables import Checkpoint, Job
from app.release import find_commit
from app.settings import Settings
from app.storage import FolderStorage, Stored
from tests.market.making import make_bars
from worker import exits
from worker.run import StopFlag, TrainingRun, progress_pause
from worker.save import load_checkpoint, save_checkpoint


@dataclasses.dataclass
class Desk:
    """A registry with the shipped bars, and what tests do with it."""

    registry: Database
    storage: FolderStorage
    settings: Settings

    def submit(self, **values: Any) -> Job:
        return submit_job(self.registry, self.settings, small_spec(**values)).job

    def claim(self, job: Job) -> Claim:
        with self.registry.write() as session:
            claim = claim_job(session, job.id, "worker", 60)
        assert claim is not None
        return claim

    def run(self, claim: Claim, stop: StopFlag | None = None, **settings: Any) -> int:
        used = self.settings.model_copy(update=settings)
        return TrainingRun(used, self.registry, claim.hold, stop or StopFlag()).execute()

    def job(self, job: Job) -> Job:
        with self.registry.read() as session:
            return get_job(session, job.id)

    def checkpoints(self, job: Job) -> list[Checkpoint]:
        with self.registry.read() as session:
            rows = list(list_checkpoints(session, limit=99, filters={"job_id": job.id}))
            for row in rows:
                session.refresh(row, ["report", "config", "versions"])  # a list leaves them out
            return rows


@pytest.fixture
def desk(registry: Database, storage: FolderStorage, settings: Settings) -> Desk:
    upload_googl(registry, storage, settings)
    return Desk(registry, storage, settings)


class StopAfter(StopFlag):
    """Wants the run to stop once it was asked this many times: after so many updates."""

    def __init__(self, updates: int) -> None:
        self.left = updates

    @property  # type: ignore[override]
    def wanted(self) -> bool:
        self.left -= 1
        return self.left <= 0


def tensors(tree: Any, path: str = "") -> dict[str, torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return {path: tree}
    items = (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    )
    return {name: leaf for key, value in items for name, leaf in tensors(value, f"{path}/{key}").items()}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "environment": EnvSpec(RETAIL_COSTS, actions=ActionSpec(kind="gaussian")),
            "overrides": {"num_envs": 4, "num_steps": 32, "layer_norm": True},
        },
        {
            "scale_features": False,
            "overrides": {
                "num_envs": 2,
                "num_steps": 64,
                "shared_trunk": False,
                "norm_obs": True,
                "norm_reward": True,
            },
        },
        {"features": None, "lookback": 100, "hidden_dims": None, "total_timesteps": 128},
    ],
    ids=["discrete", "gaussian-layer-norm", "separate-normalised", "full-schema"],
)
def test_a_job_ends_with_a_checkpoint_of_exactly_the_predicted_size(
    desk: Desk, values: dict[str, Any]
) -> None:
    job = desk.submit(**values)
    assert desk.run(desk.claim(job)) == exits.DONE
    done = desk.job(job)
    assert (done.state, done.error) == ("succeeded", None)
    (checkpoint,) = desk.checkpoints(job)
    assert checkpoint.bytes == checkpoint.predicted_bytes == job.predicted_bytes
    assert desk.storage.path(checkpoint.sha256).stat().st_size == checkpoint.bytes
    assert checkpoint.kind == "final"
    assert checkpoint.obs_dim == job.obs_dim
    assert checkpoint.hidden_dims == job.hidden_dims
    assert checkpoint.parameters == job.estimate["parameters"]
    assert checkpoint.dataset_id == job.dataset_id
    assert checkpoint.report["findings"] == []
    for kind, told in (("torch", "weights_only"), ("safetensors", "safetensors"), ("onnx", "onnx")):
        planned = export_checkpoint(desk.registry, desk.storage, checkpoint.id, kind)
        assert sum(map(len, planned.blocks())) == job.estimate["disk"][told]["bytes"], kind
    assert done.result is not None
    assert done.result["checkpoint_id"] == checkpoint.id
    assert done.result["speed"]["measured_steps_per_second"] > 0
    assert done.result["speed"]["predicted_steps_per_second"] is None  # nobody has measured this machine
    (evaluation,) = done.result["evaluations"].values()
    assert [span["name"] for span in evaluation["spans"]] == ["train", "validation", "test"]


def test_the_file_is_plain_and_says_where_it_comes_from(desk: Desk) -> None:
    job = desk.submit()
    desk.run(desk.claim(job))
    (checkpoint,) = desk.checkpoints(job)
    tree = torch.load(desk.storage.path(checkpoint.sha256), weights_only=True)
    assert tree["config"]["hidden_dims"] == [8]
    assert tree["dataset"]["job_id"] == job.id
    assert tree["dataset"]["sha256"] == job.config["datasets"][0]["sha256"]
    assert tree["feature_schema"]["names"] == ["ret_1", "rsi_14"]
    assert len(tree["normaliser"]["center"]) == 2
    assert set(tree["versions"]) >= {"caliper", "torch"}


@pytest.mark.parametrize("commit", ["abcdef0123456789", ""])
def test_the_attempt_and_its_checkpoint_name_the_commit_and_the_file_keeps_its_size(
    desk: Desk, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIPER_SOURCE_COMMIT", commit)
    job = desk.submit()
    desk.run(desk.claim(job))
    with desk.registry.read() as session:
        (attempt,) = list_attempts(session, job.id)
    (checkpoint,) = desk.checkpoints(job)
    expected = commit or find_commit()
    assert attempt.versions is not None
    assert attempt.versions.get("commit") == expected
    assert {"caliper", "python", "torch"} <= set(attempt.versions)
    assert checkpoint.versions is not None
    assert checkpoint.versions.get("commit") == expected
    assert "commit" not in checkpoint.report["versions"]  # what the file itself says
    assert checkpoint.bytes == job.predicted_bytes


def test_progress_metrics_and_events_are_recorded(desk: Desk) -> None:
    job = desk.submit()
    desk.run(desk.claim(job))
    with desk.registry.read() as session:
        kinds = [event.kind for event in events_after(session, job.id, 0, 99)]
        steps = {
            point.step
            for point in list_metrics(session, job.id, names=["policy_loss"], after_step=0, limit=99)
        }
    assert kinds[:3] == ["state", "state", "log"]
    assert kinds[-2:] == ["checkpoint", "state"]
    assert 512 in steps
    assert desk.job(job).progress["global_step"] == 512
    assert desk.job(job).progress["memory_bytes"] > 1 << 20


def upload_synthetic(desk: Desk, name: str, seed: int, bars: int = 1_300) -> str:
    made = make_bars(bars, seed=seed)
    file = io.BytesIO(made.canonical_bytes())
    stored = accept_dataset(
        desk.registry, desk.storage, desk.settings, file, name=name, declarations=made.declarations
    )
    return stored.id


def test_a_job_on_two_datasets_trains_on_both_and_is_judged_on_each(desk: Desk) -> None:
    ids = [upload_synthetic(desk, "one", 1), upload_synthetic(desk, "other", 2, 1_400)]
    job = desk.submit(dataset=None, datasets=["one", "other"])
    assert desk.run(desk.claim(job)) == exits.DONE
    done = desk.job(job)
    assert (done.state, done.error) == ("succeeded", None)
    assert done.result is not None
    assert list(done.result["evaluations"]) == ids
    first, second = done.result["evaluations"].values()
    assert first["spans"][2]["first_bar"] == second["spans"][2]["first_bar"]  # one shared date
    assert first["spans"][2]["policy"] != second["spans"][2]["policy"]
    (checkpoint,) = desk.checkpoints(job)
    assert checkpoint.bytes == checkpoint.predicted_bytes == job.predicted_bytes
    assert checkpoint.report["findings"] == []
    tree = torch.load(desk.storage.path(checkpoint.sha256), weights_only=True)
    shas = [each["sha256"] for each in tree["dataset"]["datasets"]]
    assert shas == [each["sha256"] for each in job.config["datasets"]]
    assert tree["normaliser"]["kind"] == "robust_by_dataset"
    one, other = (tree["normaliser"]["datasets"][sha] for sha in shas)
    assert one["center"] != other["center"]
    mean = (first["spans"][2]["policy"]["total_return"] + second["spans"][2]["policy"]["total_return"]) / 2
    assert checkpoint.metrics["test"]["return"] == pytest.approx(mean)


def test_a_run_on_two_datasets_resumes_to_the_very_same_bits(desk: Desk) -> None:
    for place, name in enumerate(("one", "other")):
        upload_synthetic(desk, name, place)
    finals = []
    for stop in (False, True):
        job = desk.submit(dataset=None, datasets=["one", "other"])
        claim = desk.claim(job)
        if stop:
            assert desk.run(claim, StopAfter(2)) == exits.STOPPED
            with desk.registry.write() as session:
                interrupt_job(session, claim.hold, "test")
            claim = desk.claim(job)
        assert desk.run(claim) == exits.DONE
        finals.append(tensors(load_checkpoint(desk.storage.path(desk.checkpoints(job)[0].sha256))))
    assert [name for name in finals[0] if not torch.equal(finals[0][name], finals[1][name])] == []


def test_a_stopped_run_resumes_to_the_very_same_bits(desk: Desk) -> None:
    whole = desk.submit(overrides={"num_envs": 4, "num_steps": 32, "norm_obs": True, "norm_reward": True})
    desk.run(desk.claim(whole))
    broken = desk.submit(overrides={"num_envs": 4, "num_steps": 32, "norm_obs": True, "norm_reward": True})
    claim = desk.claim(broken)
    assert desk.run(claim, StopAfter(2)) == exits.STOPPED
    (halfway,) = desk.checkpoints(broken)
    assert (halfway.kind, halfway.step) == ("stopped", 256)
    assert halfway.bytes == halfway.predicted_bytes
    with desk.registry.write() as session:
        interrupt_job(session, claim.hold, "test")
    assert desk.run(desk.claim(broken)) == exits.DONE
    final = desk.checkpoints(broken)[0]
    assert final.parent_id == halfway.id
    ours, theirs = (
        tensors(load_checkpoint(desk.storage.path(desk.checkpoints(job)[0].sha256)))
        for job in (whole, broken)
    )
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_a_long_run_reports_less_often() -> None:
    assert [progress_pause(seconds) for seconds in (0, 1_000, 4_000, 10**6)] == [0.5, 0.5, 2.0, 10.0]


def test_only_the_newest_periodic_checkpoint_is_kept(desk: Desk) -> None:
    job = desk.submit()
    desk.run(desk.claim(job), checkpoint_every_updates=1)
    kept = desk.checkpoints(job)
    assert [checkpoint.kind for checkpoint in kept] == ["final"]
    files = [path for path in desk.storage.objects.rglob("*") if path.is_file()]
    assert len(files) == 4  # the bars, the final checkpoint, the returns and the picture of its evaluation


def test_a_cancelled_run_can_be_resumed_after_its_stop(desk: Desk) -> None:
    job = desk.submit()
    claim = desk.claim(job)
    cancel_job(desk.registry, job.id)
    desk.run(claim, StopAfter(1))
    with desk.registry.write() as session:
        assert stop_job(session, claim.hold, "cancelled")
        resume(session, job.id)
    assert desk.run(desk.claim(job)) == exits.DONE
    assert desk.job(job).state == "succeeded"


def test_a_run_whose_hold_is_lost_ends_without_a_word(desk: Desk) -> None:
    job = desk.submit()
    stale = desk.claim(job)
    with desk.registry.write() as session:
        interrupt_job(session, stale.hold, "given away")
    desk.claim(job)
    assert desk.run(stale) == exits.DONE
    assert desk.job(job).state == "running"
    assert desk.checkpoints(job) == []


def test_divergence_fails_the_job_with_the_reason(desk: Desk) -> None:
    first = desk.submit()
    desk.run(desk.claim(first))
    (parent,) = desk.checkpoints(first)
    tree = load_checkpoint(desk.storage.path(parent.sha256))
    tree["policy_state_dict"]["trunk.0.weight"].fill_(float("nan"))
    with desk.storage.receive() as path:
        saved = save_checkpoint(path, tree)
        desk.storage.adopt(path, Stored(saved.sha256, saved.bytes))
    with desk.registry.write() as session:
        add_checkpoint(session, make_checkpoint(id="checkpoint_nan", sha256=saved.sha256))
    job = desk.submit(initial_checkpoint="checkpoint_nan")
    desk.run(desk.claim(job))
    done = desk.job(job)
    assert done.state == "failed"
    assert done.error is not None
    assert done.error["code"] == "training_diverged"


def test_a_full_device_fails_the_job_with_the_estimate_beside_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("worker.ppo.learn.Learner.learn", full)
    job = desk.submit()
    desk.run(desk.claim(job))
    error = desk.job(job).error
    assert error is not None
    assert error["code"] == "out_of_device_memory"
    assert error["estimated_bytes"] == job.estimate["memory"]["total_bytes"]


def test_missing_bars_fail_the_job_clearly(desk: Desk) -> None:
    job = desk.submit()
    for path in desk.storage.objects.rglob("*"):
        if path.is_file():
            path.unlink()
    desk.run(desk.claim(job))
    error = desk.job(job).error
    assert error is not None
    assert error["code"] == "not_found"
    assert "missing" in error["detail"]


def test_a_run_starts_from_another_checkpoints_weights(desk: Desk) -> None:
    first = desk.submit()
    desk.run(desk.claim(first))
    (parent,) = desk.checkpoints(first)
    second = desk.submit(initial_checkpoint=parent.id, seed=5)
    desk.run(desk.claim(second))
    (child,) = desk.checkpoints(second)
    assert child.parent_id == parent.id
    wrong = desk.submit(initial_checkpoint=parent.id, hidden_dims=[16])
    desk.run(desk.claim(wrong))
    error = desk.job(wrong).error
    assert error is not None
    assert error["code"] == "invalid_config"
    assert "do not fit this network" in error["detail"]
