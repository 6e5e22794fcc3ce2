"""Reading what Caliper exported: the metadata are believed like a config, and no further."""

from pathlib import Path
from typing import Any

import pytest

from app.checkpoint.graph import Graph, Node, activation_of
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.report import CheckpointReport
from app.network.config import PPOConfig
from app.network.disk.export_metadata import Origin, export_metadata, exported_tensors
from app.network.disk.onnx_layout import onnx_layout
from app.network.disk.pickle_size import TensorSpec
from app.network.disk.safetensors_layout import safetensors_layout
from app.network.shape import NetworkShape

SHAPE = NetworkShape(12, (16, 8), 4)


def read(folder: Path, kind: str, *, norm_obs: bool = False, **metadata: str) -> CheckpointReport:
    """The report of an export with zeros for weights and these metadata in place of the true ones."""
    config = PPOConfig(hidden_dims=SHAPE.hidden_dims, norm_obs=norm_obs)
    said = {**export_metadata(SHAPE, config, Origin()), **metadata}
    if kind == "onnx":
        layout = onnx_layout(SHAPE, "tanh", norm_obs=norm_obs, metadata=said)
    else:
        layout = safetensors_layout(exported_tensors(SHAPE, config), said)
    path = folder / f"a.{kind}"
    path.write_bytes(b"".join(part if isinstance(part, bytes) else bytes(part.length) for part in layout))
    return inspect_checkpoint(path)


kinds = pytest.mark.parametrize("kind", ["onnx", "safetensors"])


@kinds
def test_what_scales_observations_is_no_weight(tmp_path: Path, kind: str) -> None:
    report = read(tmp_path, kind, norm_obs=True)
    assert report.parameters == SHAPE.parameters
    assert "obs_normaliser.mean" in report.normaliser_tensors
    assert {tensor.part for tensor in report.tensors if tensor.name.startswith("obs_normaliser")} == {"other"}
    assert report.architecture.hidden_dims.value == (16, 8)
    assert report.config["norm_obs"] is True


@kinds
@pytest.mark.parametrize(
    "metadata",
    [
        {"hidden_dims": "16;8"},
        {"hidden_dims": "9" * 10_000},
        {"obs_dim": "twelve", "lookback": "-1"},
        {"features": "[1, 2"},
        {"features": "[" * 4_000},
        {"features": '{"a": 1}'},
        {"features": "[1, 2, 3]", "lookback": "9" * 400},
        {"feature_scaler": '{"center": [NaN]}'},
        {"feature_scaler": "9" * 4_000},
        {"action_kind": "", "activation": "\x00"},
    ],
)
def test_malformed_metadata_leave_what_the_shapes_say(
    tmp_path: Path, kind: str, metadata: dict[str, str]
) -> None:
    report = read(tmp_path, kind, **metadata)
    assert report.producer == "caliper"
    assert report.architecture.obs_dim.value == 12
    assert report.architecture.hidden_dims.value == (16, 8)
    assert report.complete


@kinds
def test_metadata_that_lie_are_named(tmp_path: Path, kind: str) -> None:
    report = read(tmp_path, kind, obs_dim="13", layer_norm="true")
    assert report.architecture.obs_dim.value == 12
    assert any("the config says 13" in each for each in report.architecture.disagreements)
    assert {finding.code for finding in report.findings} == {"config_disagrees"}


@kinds
def test_another_format_s_metadata_are_nobody_s(tmp_path: Path, kind: str) -> None:
    report = read(tmp_path, kind, format="pt")
    assert report.config is None
    assert report.architecture.hidden_dims.value == (16, 8)


@kinds
def test_a_huge_text_is_passed_over(tmp_path: Path, kind: str) -> None:
    report = read(tmp_path, kind, features='["' + "a" * 2_000_000 + '"]')
    assert report.feature_schema is None
    assert report.architecture.action_dim.value == 4


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580, 0x6328, 0x6428, 0x6928, 0x6C28])
def test_a_header_s_length_is_not_taken_for_a_pickle(tmp_path: Path, length: int) -> None:
    """Files whose header has such a length begin as pickles do."""

    def header(filler: int) -> bytes:
        return b"".join(
            part if isinstance(part, bytes) else bytes(part.length)
            for part in safetensors_layout({"actor.weight": TensorSpec((2, 3))}, {"a": "x" * filler})
        )

    shortest = int.from_bytes(header(0)[:8], "little")
    path = tmp_path / "a.safetensors"
    path.write_bytes(header(length - shortest))
    assert path.read_bytes()[:8] == length.to_bytes(8, "little")
    report = inspect_checkpoint(path)
    assert (report.format, report.complete, report.parameters) == ("safetensors", True, 6)


def _nodes(*nodes: tuple[str, list[str], str]) -> Graph:
    return Graph("onnx", [Node(kind, inputs=inputs, outputs=[output]) for kind, inputs, output in nodes])


@pytest.mark.parametrize(
    ("nodes", "activation"),
    [
        ([("Gemm", ["x", "w"], "y"), ("Sigmoid", ["y"], "s"), ("Mul", ["y", "s"], "z")], "silu"),
        ([("Sigmoid", ["y"], "s"), ("Mul", ["s", "y"], "z")], "silu"),
        ([("Sigmoid", ["y"], "s"), ("Mul", ["s", "other"], "z")], "sigmoid"),
        ([("Sigmoid", ["y"], "s"), ("Tanh", ["s"], "z")], "sigmoid"),
        ([("Relu", ["y"], "z")], "relu"),
        ([("Gemm", ["x", "w"], "y")], None),
    ],
)
def test_a_gate_of_its_own_input_is_silu(nodes: Any, activation: str | None) -> None:
    assert activation_of(_nodes(*nodes)) == activation
