"""The predicted size against real files of worker.save: equal to the byte, and told apart where changed."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch

from app.checkpoint.report import CheckpointReport
from app.market.schema import FeatureSchema
from app.network.config import PPOConfig
from app.network.disk.contents import LearnedState, Provenance, checkpoint_contents, trainer_state_specs
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import NetworkShape
from tests.checkpoint.reading import inspect
from tests.checkpoint.real_files import saved
from worker.ppo.network import NativeActorCritic
from worker.save import save_checkpoint

SCHEMA = FeatureSchema(names=("ret_1", "rsi_14"), account=("position",), lookback=7)


def filled(value: Any) -> Any:
    """A tree of specs with tensors in their place."""
    if isinstance(value, TensorSpec):
        return torch.ones(value.shape, dtype=getattr(torch, value.dtype))
    return {key: filled(item) for key, item in value.items()} if isinstance(value, dict) else value


def written(path: Path, *, provenance: Provenance | None = None, env: Any = None, **config: Any) -> Path:
    """A checkpoint of the worker's own writer, after one optimizer step."""
    ppo = PPOConfig(**{"hidden_dims": (16, 8), "num_envs": 4, "num_steps": 8, **config})
    shape = NetworkShape(21, ppo.hidden_dims, 3, layer_norm=ppo.layer_norm, shared_trunk=ppo.shared_trunk)
    network = NativeActorCritic(shape, ppo.activation)
    optimizer = torch.optim.Adam(network.parameters(), lr=ppo.learning_rate, eps=1e-5)
    sum(p.sum() for p in network.parameters()).backward()
    optimizer.step()
    state = filled(trainer_state_specs(shape, ppo, env_state=env))
    state |= {"global_step": torch.tensor(32), "update": torch.tensor(1)}
    learned = LearnedState(network.state_dict(), optimizer.state_dict(), state)
    save_checkpoint(path, checkpoint_contents(shape, ppo, learned, provenance))
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shared_trunk": False, "layer_norm": True},
        {"norm_obs": True, "norm_reward": True},
        {"env": {"position": TensorSpec((4,), "int64"), "rng": TensorSpec((5056,), "uint8")}},
    ],
)
def test_the_config_leads_to_the_very_size(tmp_path: Path, options: dict[str, Any]) -> None:
    report = inspect(written(tmp_path / "model.pt", **options))
    assert report.size is not None
    assert (report.size.difference, report.size.note) == (0, "")
    assert report.size.predicted == report.size.actual == report.bytes.total
    assert report.findings == ()


def provenance() -> Provenance:
    schema = {**SCHEMA.plain(), "hash": SCHEMA.hash, "min_history": SCHEMA.min_history}
    scaler = {"kind": "robust", "center": [0.0, 1.0], "scale": [1.0, 2.0]}
    dataset = {"id": "ds_1", "sha256": "00", "fold": {"train": [0, 100]}, "job_id": "job_1"}
    return Provenance(schema, scaler, dataset)


def test_a_full_report_of_our_own_file(tmp_path: Path) -> None:
    report = inspect(written(tmp_path / "model.pt", provenance=provenance()))
    assert report.producer == "caliper"
    assert report.size is not None
    assert report.size.difference == 0
    schema = report.feature_schema
    assert schema is not None
    assert (schema.names, schema.account, schema.lookback) == (("ret_1", "rsi_14"), ("position",), 7)
    assert (schema.sha256, schema.hash_holds, schema.obs_dim) == (SCHEMA.hash, True, 21)
    assert report.normaliser == {"kind": "robust", "center": [0.0, 1.0], "scale": [1.0, 2.0]}
    assert report.dataset["fold"] == {"train": [0, 100]}
    assert report.progress == {"global_step": 32, "update": 1}
    assert report.optimizer is not None
    assert (report.optimizer.kind, report.optimizer.complete, report.optimizer.steps) == ("adam", True, 1)
    assert report.findings == ()
    assert CheckpointReport.from_plain(report.plain()) == report


def changed(path: Path, change: Any) -> CheckpointReport:
    """The file after torch wrote it again with a change."""
    tree = torch.load(path, weights_only=True)
    change(tree)
    file = io.BytesIO()
    torch.save(tree, file)
    return inspect(file.getvalue())


def test_a_schema_changed_after_writing_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pt", provenance=provenance())
    report = changed(path, lambda tree: tree["feature_schema"].update(lookback=8))
    codes = {finding.code: finding.severity for finding in report.findings}
    assert codes == {"schema_hash": "medium", "schema_width": "medium"}
    assert report.feature_schema is not None
    assert report.feature_schema.hash_holds is False


def test_a_tensor_that_was_added_shows_in_the_size(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pt")
    report = changed(path, lambda tree: tree.update(extra=torch.zeros(100)))
    assert report.size is not None
    assert report.size.difference is not None
    assert report.size.difference > 400
    assert [finding.code for finding in report.findings] == ["size_differs"]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (
            {"hidden_dims": [1 << 40], "obs_dim": 4, "action_dim": 2, "action_kind": "discrete"},
            "no size follows",
        ),
        ({"hidden_dims": 7, "obs_dim": 4, "action_dim": 2, "action_kind": "discrete"}, "no size follows"),
        ({"surprise": 1}, "no size follows"),
        (None, "no size follows"),
    ],
)
def test_a_config_that_describes_no_network_gives_no_size(config: Any, why: str) -> None:
    report = inspect(saved({"format": "caliper-checkpoint/1", "config": config, "policy_state_dict": {}}))
    assert report.size is not None
    assert report.size.predicted is None
    assert report.size.note.startswith(why)


def test_other_producers_have_no_predicted_size() -> None:
    assert inspect(saved({"w": torch.zeros(2, 2)})).size is None


def test_one_text_named_many_times_gives_no_size() -> None:
    text = "x" * 100_000
    tree = {
        "format": "caliper-checkpoint/1",
        "config": {},
        "dataset": [text] * 10_000,
        "policy_state_dict": {},
    }
    report = inspect(saved(tree))
    assert report.size is not None
    assert report.size.predicted is None
