"""Whether one policy may stand in for another, and whether two come of one training."""

import io
from typing import Any

import pytest
import torch
from torch import nn

from app.checkpoint.diff import compare_reports
from app.checkpoint.inference_verdict import judge_inference
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.lineage import Origin, Relation, judge_lineage
from app.checkpoint.report import CheckpointReport
from tests.checkpoint.real_files import Policy, agent, caliper_tree, plain_config, saved


def report(policy: nn.Module | None = None, **more: Any) -> CheckpointReport:
    config = plain_config(**more.pop("config", {}))
    return inspect_checkpoint(io.BytesIO(saved(caliper_tree(policy or Policy(), config, **more))))


def outcome(left: CheckpointReport, right: CheckpointReport) -> dict[str, bool | None]:
    return {check.name: check.same for check in judge_inference(left, right).checks}


def test_equal_surroundings_are_interchangeable() -> None:
    found = judge_inference(report(), report(Policy(layer_norm=True)))
    assert found.interchangeable is True
    assert found.explanation.startswith("interchangeable")
    assert all(check.same for check in found.checks)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"feature_schema": {"names": ["a", "b", "c"], "version": 1, "hash": "cd"}}, "features"),
        ({"feature_schema": {"names": ["ret_1", "mfi_14", "rsi_14"], "version": 1}}, "features"),
        ({"normaliser": {"kind": "robust", "center": [0.0], "scale": [1.0]}}, "normaliser"),
    ],
)
def test_another_schema_or_normaliser_is_not_interchangeable(more: dict[str, Any], name: str) -> None:
    found = judge_inference(report(), report(**more))
    assert found.interchangeable is False
    assert name in found.explanation
    assert [check.name for check in found.checks if check.same is False] == [name]


def test_the_hash_decides_where_both_files_have_one() -> None:
    names = ["ret_1", "rsi_14", "mfi_14"]
    other = report(feature_schema={"names": names, "version": 2, "hash": "changed"})
    assert outcome(report(), other)["features"] is False
    bare = report(feature_schema={"names": names})
    assert outcome(report(), bare)["features"] is True


def test_normalisers_are_compared_by_their_values() -> None:
    fitted = {"kind": "robust", "center": [0.5, 1.0, 2.0], "scale": [1.0, 1.0, 1.0]}
    moved = {**fitted, "center": [0.5, 1.0, 2.5]}
    assert outcome(report(normaliser=fitted), report(normaliser=fitted))["normaliser"] is True
    assert outcome(report(normaliser=fitted), report(normaliser=moved))["normaliser"] is False
    assert outcome(report(), report())["normaliser"] is True


def test_another_action_space_is_not_interchangeable() -> None:
    found = judge_inference(report(), report(Policy(gaussian=True)))
    assert [check.name for check in found.checks if check.same is False] == ["action_kind"]
    assert found.explanation == "not interchangeable: action_kind differs"


def test_what_no_file_tells_leaves_the_verdict_open() -> None:
    bare, other = (inspect_checkpoint(io.BytesIO(saved(agent().state_dict()))) for _ in range(2))
    found = judge_inference(bare, other)
    assert found.interchangeable is None
    assert "do not tell features" in found.explanation


def origin(number: int, *ancestors: int, job: str | None = None, data: str | None = None) -> Origin:
    return Origin(f"c{number}", tuple(f"c{each}" for each in ancestors), job, (data,) if data else ())


@pytest.mark.parametrize(
    ("left", "right", "relation", "same"),
    [
        (origin(1), origin(3, 2, 1), "right_continues_left", True),
        (origin(3, 2, 1), origin(1), "left_continues_right", True),
        (origin(3, 2, 1), origin(5, 4, 1), "common_ancestor", True),
        (origin(3, job="j"), origin(5, job="j"), "same_job", True),
        (origin(3, job="j"), origin(5, job="k"), "unrelated", False),
        (origin(3, 2, job="j"), origin(5, 4, job="k"), "unrelated", False),
        (origin(1), origin(1), "same_file", True),
        (origin(1), origin(2), "unknown", None),
        (None, None, "unknown", None),
    ],
)
def test_lines_of_training(
    left: Origin | None, right: Origin | None, relation: Relation, same: bool | None
) -> None:
    reports = (report(), report(config={"seed": 2}))
    found = judge_lineage(*reports, (left, right))
    assert (found.relation, found.same) == (relation, same)
    assert found.explanation


def test_files_tell_their_job_and_dataset_by_themselves() -> None:
    data = {"id": "d", "sha256": "ff"}
    first, second = (report(dataset={**data, "job_id": job}) for job in ("job_1", "job_2"))
    again = report(dataset={**data, "job_id": "job_1"}, config={"seed": 5})
    assert judge_lineage(first, again).relation == "same_job"
    other = judge_lineage(first, second)
    assert (other.relation, other.same) == ("unknown", None)  # one may have begun with the other's weights
    assert other.explanation.startswith("two jobs made them; whether one began with the other's weights")
    assert other.explanation.endswith(", on the same dataset")
    here = origin(1, job="job_1"), origin(2, job="job_2")
    assert judge_lineage(first, second, here).relation == "unrelated"  # the registry knows all their parents
    several = report(dataset={"datasets": [{"sha256": "aa"}, {"sha256": "ff"}], "job_id": "job_1"})
    assert judge_lineage(several, first).checks[3].same is False
    turned = report(dataset={"datasets": [{"sha256": "ff"}, {"sha256": "aa"}], "job_id": "job_2"})
    assert judge_lineage(several, turned).checks[3].same is True


def test_the_same_bytes_are_the_same_training() -> None:
    file = saved(Policy().state_dict())
    one, two = (inspect_checkpoint(io.BytesIO(file)) for _ in range(2))
    found = compare_reports(one, two)
    assert (found.lineage.relation, found.lineage.same) == ("same_file", True)
    assert found.inference.interchangeable is True  # whatever the file does not tell


def test_optimizers_are_compared_field_by_field() -> None:
    policy = Policy()
    plain = {"policy_state_dict": policy.state_dict(), "config": {}}
    optimizers = []
    for kind, rate in (("Adam", 1e-3), ("SGD", 0.5)):
        made = getattr(torch.optim, kind)(policy.parameters(), lr=rate)
        tree = {**plain, "optimizer_state_dict": made.state_dict()}
        optimizers.append(inspect_checkpoint(io.BytesIO(saved(tree))))
    changed = {row.name: (row.left, row.right) for row in compare_reports(*optimizers).optimizer}
    assert changed["kind"] == ("adam", "sgd")
    assert changed["learning_rate"] == (1e-3, 0.5)
    without = inspect_checkpoint(io.BytesIO(saved(plain)))
    (row,) = compare_reports(optimizers[0], without).optimizer
    assert (row.left, row.right) == ("adam", None)
    assert compare_reports(without, without).optimizer == ()


def test_several_datasets_are_compared_as_a_set() -> None:
    def on(*shas: str, job: str) -> CheckpointReport:
        listed = [{"id": f"d{sha}", "sha256": sha} for sha in shas]
        return report(dataset={"datasets": listed, "job_id": job})

    def dataset(left: CheckpointReport, right: CheckpointReport) -> Any:
        return judge_lineage(left, right).checks[3]

    both, turned = on("aa", "bb", job="j"), on("bb", "aa", job="k")
    assert dataset(both, turned).same is True
    assert judge_lineage(both, turned).explanation.endswith(", on the same dataset")
    partly = dataset(both, on("bb", "cc", "dd", job="k"))
    assert partly.same is False
    assert partly.left == "aa, bb"
    alone = report(dataset={"id": "daa", "sha256": "aa", "job_id": "k"})
    assert dataset(on("aa", job="j"), alone).same is True
    assert judge_lineage(both, on("ee", job="k")).explanation.endswith("on another dataset")
    origins = (Origin("c1", dataset_ids=("d2", "d1")), Origin("c2", dataset_ids=("d1", "d2")))
    assert judge_lineage(report(), report(config={"seed": 2}), origins).checks[3].same is True
