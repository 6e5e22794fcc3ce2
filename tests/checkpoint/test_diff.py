"""Two real checkpoints side by side."""

import io
from typing import Any

from torch import nn

from app.checkpoint.diff import compare_features, compare_reports
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.report import CheckpointReport, FeatureSchema
from tests.checkpoint.real_files import Policy, caliper_tree, plain_config, saved


def report(policy: nn.Module, name: str = "", **config: Any) -> CheckpointReport:
    file = io.BytesIO(saved(caliper_tree(policy, plain_config(**config))))
    return inspect_checkpoint(file, name=name)


def test_a_file_equals_itself() -> None:
    same = report(Policy(), "a.pt")
    found = compare_reports(same, same)
    assert found.weights_load
    assert (found.architecture, found.config, found.tensors_changed) == ((), (), ())
    assert found.features is not None
    assert found.features.same
    assert (found.parameters_delta, found.bytes_delta) == (0, 0)


def test_only_the_config_differs() -> None:
    found = compare_reports(report(Policy(), gamma=0.99), report(Policy(), gamma=0.9, seed=3))
    assert found.weights_load
    assert [(c.name, c.left, c.right) for c in found.config] == [("gamma", 0.99, 0.9), ("seed", None, 3)]


def test_other_tensors_do_not_load() -> None:
    left, right = report(Policy()), report(Policy(gaussian=True, shared=False))
    found = compare_reports(left, right)
    assert not found.weights_load
    assert "trunk.0.weight" in found.tensors_only_left
    assert "log_std" in found.tensors_only_right
    assert {change.name for change in found.architecture} == {
        "action_kind",
        "shared_trunk",
        "critic_hidden_dims",
    }
    assert found.parameters_delta == right.parameters - left.parameters > 0
    assert found.explanation.startswith("the weights do not load: 4 tensors only in the left file")


def test_another_width_is_named() -> None:
    policy = Policy()
    policy.trunk[0] = nn.Linear(20, 16)
    found = compare_reports(report(Policy()), report(policy, obs_dim=20))
    assert [(c.name, c.left, c.right) for c in found.tensors_changed] == [
        ("trunk.0.weight", (16, 12), (16, 20))
    ]
    assert "trunk.0.weight: 16 x 12 against 16 x 20" in found.explanation


def test_the_same_network_of_another_producer_loads() -> None:
    policy = Policy()
    bare = inspect_checkpoint(io.BytesIO(saved(policy.state_dict())))
    assert compare_reports(bare, report(policy)).weights_load


def test_features_by_name_and_place() -> None:
    left = FeatureSchema(("ret_1", "mfi_20", "rsi_14"))
    right = FeatureSchema(("ret_1", "rsi_14", "mfi_14", "atr_14"))
    found = compare_features(left, right)
    assert found is not None
    assert (found.only_left, found.only_right, found.moved) == (("mfi_20",), ("mfi_14", "atr_14"), ())
    assert found.explanation.startswith("left has mfi_20 at #1, right has rsi_14; 1 only left, 2 only right")


def test_features_in_another_order() -> None:
    found = compare_features(FeatureSchema(("a", "b", "c")), FeatureSchema(("b", "a", "c")))
    assert found is not None
    assert (found.same, found.moved) == (False, ("a", "b"))


def test_features_of_one_side_only() -> None:
    assert compare_features(None, None) is None
    found = compare_features(None, FeatureSchema(("a",)))
    assert found is not None
    assert found.explanation == "only the right file names its features"
