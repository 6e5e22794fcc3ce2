"""ONNX exports: valid by the format's own checker, run by its runtime, equal to the network, read back by our reader."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.checkpoint.diff import compare_reports
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.weights_child import compare_weights
from app.errors import InvalidInput, NotExportable
from app.export.parity import check_parity, make_observations
from app.export.pieces import Copy
from app.export.plan import _plan_onnx
from app.export.source import Policy, StoredTensor
from app.network.config import PPOConfig
from app.network.disk.export_metadata import Origin
from app.network.disk.onnx_layout import IR_VERSION, MOST_BYTES, OPSET
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import NetworkShape
from tests.export.policies import make_policy, policy_outputs

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

NETWORKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"action_kind": "gaussian"}, {"activation": "elu"}),
    ({"layer_norm": True}, {"activation": "silu"}),
    ({"shared_trunk": False}, {"activation": "relu"}),
    ({}, {"norm_obs": True}),
    (
        {"shared_trunk": False, "layer_norm": True, "action_kind": "gaussian"},
        {"norm_obs": True, "activation": "silu"},
    ),
]

networks = pytest.mark.parametrize(("parts", "settings"), NETWORKS)


def _shape(**parts: Any) -> NetworkShape:
    return NetworkShape(12, (16, 8), 4, **parts)


def _run(path: Path, observations: Any) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"observations": observations}), strict=True))


@networks
def test_the_runtime_computes_what_the_network_does(
    tmp_path: Path, parts: dict[str, Any], settings: dict[str, Any]
) -> None:
    made = make_policy(tmp_path, _shape(**parts), **settings)
    path = made.export("onnx")
    observations = make_observations(12, 100, seed=3).astype(np.float32)[:-3]
    policy, value = policy_outputs(made, observations)
    found = _run(path, observations)
    kind = "mean" if made.shape.action_kind == "gaussian" else "logits"
    assert list(found) == ([kind, "log_std", "value"] if kind == "mean" else [kind, "value"])
    assert found["value"].shape == (len(observations), 1)
    scale = max(1.0, float(np.abs(policy).max()), float(np.abs(value).max()))
    assert np.abs(found[kind] - policy).max() <= 1e-6 * scale
    assert np.abs(found["value"][:, 0] - value).max() <= 1e-6 * scale
    if kind == "mean":
        assert np.array_equal(found["log_std"], made.network.log_std.detach().numpy())
    else:
        assert np.array_equal(found[kind].argmax(1), policy.argmax(1))


@pytest.mark.parametrize("batch", [1, 2, 33])
def test_the_batch_may_have_any_size(tmp_path: Path, batch: int) -> None:
    path = make_policy(tmp_path, _shape()).export("onnx")
    assert _run(path, np.zeros((batch, 12), np.float32))["logits"].shape == (batch, 4)


@networks
def test_the_format_s_own_checker_and_writer_agree(
    tmp_path: Path, parts: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Written again by protobuf itself, the model has the same bytes: ours are in the canonical form."""
    path = make_policy(tmp_path, _shape(**parts), **settings).export("onnx")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.SerializeToString(deterministic=True) == path.read_bytes()
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET)


def test_the_metadata_say_what_it_is(tmp_path: Path) -> None:
    made = make_policy(tmp_path, _shape())
    said = {entry.key: entry.value for entry in onnx.load(made.export("onnx")).metadata_props}
    assert said["hidden_dims"] == "16,8"
    assert said["feature_schema_sha256"] == "ab" * 32
    assert json.loads(said["features"]) == ["ret_1", "Momentum größer"]
    assert json.loads(said["feature_scaler"])["center"] == [0.25, -1e-300]
    assert said["source_sha256"] == made.report.sha256
    assert said["job_id"] == "job_1"


@networks
@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_our_reader_reads_it_back(
    tmp_path: Path, kind: str, parts: dict[str, Any], settings: dict[str, Any]
) -> None:
    made = make_policy(tmp_path, _shape(**parts), **settings)
    report, original = inspect_checkpoint(made.export(kind)), made.report
    assert report.findings == ()
    assert report.producer == "caliper"
    assert report.parameters == made.shape.parameters
    assert report.architecture.disagreements == ()
    for fact in dataclasses.fields(report.architecture):
        found, wanted = (getattr(each.architecture, fact.name).value for each in (report, original))
        assert found == wanted, fact.name
    assert report.feature_schema is not None
    assert report.feature_schema.names == ("ret_1", "Momentum größer")
    assert report.feature_schema.sha256 == "ab" * 32


@pytest.mark.parametrize("kind", ["onnx", "safetensors", "torch", "sb3"])
def test_the_diff_says_that_the_weights_are_equal(tmp_path: Path, kind: str) -> None:
    made = make_policy(tmp_path, _shape(shared_trunk=False, action_kind="gaussian"))
    path = made.export(kind)
    reports = (made.report, inspect_checkpoint(path))
    distances = compare_weights(made.path, path, reports)
    assert distances.identical, distances.explanation
    assert distances.total.values == made.shape.parameters
    assert compare_reports(*reports).weights_load == (kind != "sb3")


def test_a_graph_that_contradicts_its_metadata_is_believed(tmp_path: Path) -> None:
    path = make_policy(tmp_path, _shape()).export("onnx")
    model = onnx.load(path)
    entry = next(entry for entry in model.metadata_props if entry.key == "hidden_dims")
    entry.value = "999"
    path.write_bytes(model.SerializeToString())
    architecture = inspect_checkpoint(path).architecture
    assert architecture.hidden_dims.value == (16, 8)
    assert architecture.disagreements


def _huge(obs_dim: int) -> Policy:
    shape = NetworkShape(obs_dim, (64,))
    weights: dict[str, StoredTensor] = {}
    for name, size in shape.tensors:
        spec = TensorSpec(size)
        weights[name] = StoredTensor(spec, Copy(0, spec.nbytes, 0))
    config = PPOConfig(hidden_dims=(64,))
    return Policy(shape, config, weights, {}, Origin(), (-1.0, 1.0), 0)


def test_the_limit_of_protobuf_is_named() -> None:
    assert _plan_onnx(_huge(8_388_000)).size <= MOST_BYTES
    with pytest.raises(NotExportable, match=r"2,147,483,647") as caught:
        _plan_onnx(_huge(8_389_000))
    assert "safetensors" in caught.value.hint
    assert caught.value.extra["limit"] == MOST_BYTES


@networks
@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_parity_is_reported(
    tmp_path: Path, kind: str, parts: dict[str, Any], settings: dict[str, Any]
) -> None:
    made = make_policy(tmp_path, _shape(**parts), **settings)
    parity = check_parity(made.path, made.export(kind), count=20)
    assert parity.holds
    assert parity.observations == 29
    assert parity.argmax_agreement == (None if made.shape.action_kind == "gaussian" else 1.0)
    assert parity.ran_by.startswith("onnxruntime" if kind == "onnx" else "numpy")
    if kind == "safetensors":
        assert (parity.max_policy_difference, parity.max_value_difference) == (0.0, 0.0)


@pytest.mark.parametrize("kind", ["onnx", "safetensors", "torch", "sb3"])
def test_parity_notices_a_changed_weight(tmp_path: Path, kind: str) -> None:
    made = make_policy(tmp_path, _shape())
    path = made.export(kind)
    assert check_parity(made.path, path, count=20).holds
    bias = made.network.actor[2].bias.detach().numpy().tobytes()
    data = path.read_bytes()
    assert data.count(bias) == 1
    path.write_bytes(data.replace(bias, np.float32([0.5, 0, 0, 0]).tobytes()))
    parity = check_parity(made.path, path, count=20)
    assert not parity.holds
    assert parity.max_policy_difference > 0.1
    assert parity.max_value_difference < 1e-5


def test_a_missing_runtime_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_policy(tmp_path, _shape())
    path = made.export("onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InvalidInput, match="ONNX Runtime is not installed") as caught:
        check_parity(made.path, path)
    assert "pip install onnxruntime" in caught.value.hint
