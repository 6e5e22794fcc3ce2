"""What the demo requires: each check holds for a good answer, and fails for each way to be wrong."""

import copy
from typing import Any

import pytest
from fake_service import job

from app.demo import DemoFailed, checks

RESULT = {"checkpoint_id": "checkpoint_1", "global_step": 128}
CHECKPOINT = {
    "id": "checkpoint_1",
    "bytes": 1000,
    "predicted_bytes": 1000,
    "sha256": "a" * 64,
    "parameters": 1_406_788,
    "hidden_dims": [256, 128, 64],
}


def fact(value: Any) -> dict[str, Any]:
    return {"value": value, "basis": "both", "note": ""}


REPORT = {
    "architecture": {"obs_dim": fact(5300), "hidden_dims": fact([256, 128, 64])},
    "parameters": 1_406_788,
    "sha256": "a" * 64,
    "config": {"seed": 1, "hidden_dims": [256, 128, 64], "obs_dim": 5300},
    "complete": True,
    "findings": [{"severity": "low", "explanation": "worth knowing"}],
    "optimizer": {"complete": True},
}
SMALL = {
    "id": "checkpoint_2",
    "bytes": 400,
    "predicted_bytes": 400,
    "parameters": 345_828,
    "hidden_dims": [64, 32],
}
DIFF = {
    "weights_load": False,
    "architecture": [{"name": "hidden_dims", "left": [256, 128, 64], "right": [64, 32]}],
    "parameters_delta": 345_828 - 1_406_788,
    "bytes_delta": -600,
}


def changed(base: Any, path: Any, value: Any) -> Any:
    """A copy in which the value at a path of keys is another."""
    made = copy.deepcopy(base)
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return made


def test_all_rows_must_be_accepted() -> None:
    dataset = {"rows": 2335, "starts_at": "2009-05-22T00", "ends_at": "2018-08-29T00"}
    assert "2,335 daily bars accepted, 2009-05-22 to 2018-08-29" in checks.check_dataset(dataset, 2335)
    with pytest.raises(DemoFailed, match="found 2335, expected 2336"):
        checks.check_dataset(dataset, 2336)


def test_the_network_must_be_the_tiers() -> None:
    assert "(256, 128, 64) on 5,300 inputs" in checks.check_network(job(), 5300, (256, 128, 64))
    with pytest.raises(DemoFailed, match="hidden_dims of the job"):
        checks.check_network(job(), 5300, (512, 256, 128))
    with pytest.raises(DemoFailed, match="obs_dim of the job"):
        checks.check_network(job(), 5299, (256, 128, 64))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"state": "failed", "error": {"detail": "NaN", "hint": "lower it"}}, "is failed: NaN"),
        ({"state": "cancelled"}, "is cancelled: the service gave no reason"),
        ({"result": None}, "without a checkpoint"),
        ({"result": {**RESULT, "global_step": 99}}, "after 99 of 100 steps"),
    ],
)
def test_a_job_must_succeed_with_a_checkpoint_and_all_its_steps(values: Any, message: Any) -> None:
    assert checks.check_success(job(result=RESULT)) == "trained for 128 steps in one attempt"
    with pytest.raises(DemoFailed, match=message):
        checks.check_success(job(**{"result": RESULT, **values}))


@pytest.mark.parametrize(
    ("predicted", "row", "size"),
    [
        (1001, CHECKPOINT, 1000),
        (1000, CHECKPOINT, 999),
        (1000, {**CHECKPOINT, "bytes": 1001}, 1000),
        (1000, {**CHECKPOINT, "predicted_bytes": None}, 1000),
    ],
)
def test_one_byte_more_or_less_fails(predicted: Any, row: Any, size: Any) -> None:
    assert "equal to the byte" in checks.check_sizes(1000, CHECKPOINT, 1000)
    with pytest.raises(DemoFailed, match="bytes"):
        checks.check_sizes(predicted, row, size)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("architecture", "obs_dim", "value"), 5299, "obs_dim in the file"),
        (("architecture", "hidden_dims", "value"), None, "hidden_dims in the file"),
        (("parameters",), 1, "parameters in the file"),
        (("sha256",), "b" * 64, "sha256"),
        (("config", "seed"), 2, "seed in the file"),
        (("config",), None, "no configuration"),
        (("complete",), False, "could not be read to its end"),
        (("findings",), [{"severity": "high", "explanation": "would run code"}], "would run code"),
        (("optimizer",), None, "optimizer state"),
        (("optimizer", "complete"), False, "optimizer state"),
    ],
)
def test_the_file_must_be_what_the_job_says(path: Any, value: Any, message: Any) -> None:
    assert "nothing in it runs" in checks.check_inspection(REPORT, job(), CHECKPOINT)
    with pytest.raises(DemoFailed, match=message):
        checks.check_inspection(changed(REPORT, path, value), job(), CHECKPOINT)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("weights_load",), True, "weights load across"),
        (("architecture",), [], "hidden_dims in the diff"),
        (("architecture", 0, "right"), [64], "hidden_dims in the diff"),
        (("parameters_delta",), 0, "parameters_delta"),
        (("bytes_delta",), 0, "bytes_delta"),
    ],
)
def test_the_diff_must_tell_the_truth(path: Any, value: Any, message: Any) -> None:
    assert "do not load across" in checks.check_diff(DIFF, CHECKPOINT, SMALL)
    with pytest.raises(DemoFailed, match=message):
        checks.check_diff(changed(DIFF, path, value), CHECKPOINT, SMALL)


def test_other_facts_may_differ_too() -> None:
    more = {
        **DIFF,
        "architecture": [*DIFF["architecture"], {"name": "layer_norm", "left": True, "right": None}],
    }
    assert checks.check_diff(more, CHECKPOINT, SMALL)
