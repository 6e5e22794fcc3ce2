"""A job as a TensorBoard run, read back by TensorBoard's own reader."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from app.client import Client, Event
from app.tracking import snapshot_job, tracked
from app.tracking.facts import list_scores
from app.tracking.tensorboard_run import TensorBoardRun
from tests.tracking.conftest import KEPT, PICTURE, at

NOTHING_KEPT = {"scalars": 0, "tensors": 0, "images": 0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def read(folder: Path) -> EventAccumulator:
    """All that TensorBoard sees of the one run in a folder."""
    (run,) = [each for each in folder.iterdir() if each.is_dir()]
    found = EventAccumulator(str(run), size_guidance=NOTHING_KEPT)
    found.Reload()
    return found


def text(found: EventAccumulator, tag: str) -> str:
    (event,) = found.Tensors(tag)
    return str(event.tensor_proto.string_val[0].decode())


def test_its_points_are_those_that_hold_with_steps_and_times(
    client: Client, ended_job: str, folder: Path
) -> None:
    snapshot_job(client, ended_job, [TensorBoardRun(folder)])
    found = read(folder)
    assert [(each.step, each.value) for each in found.Scalars("train/entropy")] == [
        (step, pytest.approx(value)) for step, value in KEPT
    ]
    times = [each.wall_time for each in found.Scalars("train/entropy")]
    assert times == [datetime.fromisoformat(at(second)).timestamp() for second in (2, 5, 6, 8)]
    trained = {tag for tag in found.Tags()["scalars"] if tag.startswith("train/")}
    assert trained == {"train/entropy", "train/steps_per_second"}


def test_its_configuration_tags_and_evaluation_are_there(
    client: Client, ended_job: str, folder: Path
) -> None:
    job = snapshot_job(client, ended_job, [TensorBoardRun(folder)])
    found = read(folder)
    params = json.loads(text(found, "caliper/params"))
    assert params["ppo.gamma"] == str(job["config"]["ppo"]["gamma"])
    assert params["environment.costs.fee_bps"] == "5.0"
    assert json.loads(text(found, "caliper/tags"))["caliper.version.torch"] == "2.13.0"
    assert json.loads(text(found, "caliper/tags"))["caliper.job_id"] == ended_job
    scores = list_scores(client.evaluation(ended_job))
    assert "evaluation/test/policy/sharpe" in scores
    for name, value in scores.items():
        ((step, kept),) = [(each.step, each.value) for each in found.Scalars(name)]
        assert (step, kept) == (512, pytest.approx(value))
    (image,) = found.Images("caliper/evaluation")
    assert image.encoded_image_string == PICTURE
    assert "hparams" in found.PluginTagToContent("hparams") or found.SummaryMetadata(
        "_hparams_/session_start_info"
    )


def test_the_same_job_again_is_the_same_file(client: Client, ended_job: str, folder: Path) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    snapshot_job(client, ended_job, [TensorBoardRun(folder)])
    first = files()
    snapshot_job(client, ended_job, [TensorBoardRun(folder)])
    assert len(first) == 1
    assert files().keys() == first.keys()
    assert len(read(folder).Scalars("train/entropy")) == 4


def test_a_job_that_runs_is_kept_as_it_stands(client: Client, running_job: str, folder: Path) -> None:
    snapshot_job(client, running_job, [TensorBoardRun(folder)])
    assert [each.step for each in read(folder).Scalars("train/entropy")] == [128, 256]


def test_it_grows_while_the_job_is_watched(client: Client, ended_job: str, folder: Path) -> None:
    seen: list[Event] = []
    for event in tracked(client, ended_job, client.events(ended_job), [TensorBoardRun(folder)], fail):
        seen.append(event)
        if event.kind == "progress":
            steps = [each.step for each in read(folder).Scalars("train/entropy")]
            assert steps[-1] == event.data["global_step"]
    assert seen == list(client.events(ended_job))
    assert read(folder).Images("caliper/evaluation")


def fail(tracker: Any, error: Exception) -> None:
    raise AssertionError(tracker.place) from error
