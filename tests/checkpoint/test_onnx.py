"""ONNX models: exported by torch 2.13, and made by hand with onnx 1.23.2 in every orientation."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.protobuf import Message
from app.checkpoint.source import BytesSource
from app.errors import CaliperError, LimitExceeded, UnreadableCheckpoint
from tests.checkpoint.reading import dimensions, facts, inspect


class Policy(nn.Module):
    """A shared trunk with two heads, or two networks; an LSTM first where asked for."""

    def __init__(self, *, shared: bool = True) -> None:
        super().__init__()
        self.shared = shared
        self.trunk = nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh())
        self.value_trunk = nn.Sequential(nn.Linear(5, 24), nn.Tanh())
        self.actor, self.critic = nn.Linear(16, 3), nn.Linear(16 if shared else 24, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.trunk(x)
        return self.actor(hidden), self.critic(hidden if self.shared else self.value_trunk(x))


def exported(module: nn.Module, *example: torch.Tensor, **options: Any) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), example, file, dynamo=False, **options)
    return file.getvalue()


def weight(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


def model(nodes: list[Any], weights: list[Any], outputs: dict[str, int], **more: Any) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", 5])]
    out = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", size]) for n, size in outputs.items()
    ]
    graph = helper.make_graph(nodes, "policy", inputs, out, weights)
    return helper.make_model(graph, producer_name="hand", **more)


@pytest.mark.parametrize("shared", [True, False])
def test_a_policy_that_torch_exports(shared: bool) -> None:
    module = Policy(shared=shared)
    report = inspect(exported(module, torch.zeros(1, 5), output_names=["logits", "value"]))
    assert (report.format, report.producer, report.findings) == ("onnx", "onnx", ())
    assert dimensions(report) == (5, (32, 16), None, None)
    assert report.architecture.action_dim.note.startswith("3 outputs")
    found = facts(report)
    assert (found["activation"], found["shared_trunk"]) == ("tanh", shared)
    assert found["critic_hidden_dims"] == (() if shared else (24,))
    used = [p for n, p in module.named_parameters() if not (shared and n.startswith("value_trunk"))]
    assert report.parameters == sum(p.numel() for p in used)
    assert report.bytes.weights == 4 * report.parameters
    assert report.versions == {
        "ir_version": report.versions["ir_version"],
        "name": "pytorch",
        "version": "2.13.0",
    }


def test_a_lstm_policy_that_torch_exports() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = (
                nn.LSTM(5, 24),
                nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 3)),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(x)[0])

    report = inspect(exported(Recurrent(), torch.zeros(1, 1, 5)))
    found = facts(report)
    assert (found["recurrent_kind"], found["recurrent_dim"]) == ("lstm", 24)
    assert dimensions(report) == (5, (16,), None, None)
    assert found["actor_head"] == (3,)


@pytest.mark.parametrize("transposed", [True, False])
def test_gemm_in_both_orientations(transposed: bool) -> None:
    shapes = [(32, 5), (3, 32)] if transposed else [(5, 32), (32, 3)]
    options = {"transB": 1} if transposed else {}
    nodes = [
        helper.make_node("Gemm", ["obs", "a"], ["h"], **options),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "b"], ["logits"], **options),
    ]
    made = model(nodes, [weight("a", *shapes[0]), weight("b", *shapes[1])], {"logits": 3})
    report = inspect(made.SerializeToString())
    assert dimensions(report)[:3] == (5, (32,), None)
    assert facts(report)["actor_head"] == (3,)
    assert facts(report)["activation"] == "relu"


def test_matmul_and_add_with_a_transposed_weight_and_a_constant() -> None:
    constant = helper.make_node("Constant", [], ["c"], value=weight("", 32, 3))
    nodes = [
        constant,
        helper.make_node("Transpose", ["a"], ["at"], perm=[1, 0]),
        helper.make_node("MatMul", ["obs", "at"], ["m"]),
        helper.make_node("Add", ["bias", "m"], ["h"]),
        helper.make_node("MatMul", ["h", "c"], ["logits"]),
    ]
    report = inspect(
        model(nodes, [weight("a", 32, 5), weight("bias", 32)], {"logits": 3}).SerializeToString()
    )
    assert dimensions(report)[:3] == (5, (32,), None)
    assert facts(report)["actor_head"] == (3,)
    assert report.findings == ()


def test_values_in_typed_fields_are_sized_as_raw_ones() -> None:
    typed = helper.make_tensor("a", TensorProto.FLOAT, [5, 3], [0.5] * 15)
    halves = helper.make_tensor("b", TensorProto.FLOAT16, [4], [1.0] * 4)
    wide = helper.make_tensor("c", TensorProto.INT64, [3], [1, 1 << 40, -1])
    report = inspect(
        model(
            [helper.make_node("MatMul", ["obs", "a"], ["y"])], [typed, halves, wide], {"y": 3}
        ).SerializeToString()
    )
    assert report.findings == ()
    assert {tensor.name: tensor.bytes for tensor in report.tensors} == {"a": 60, "b": 8, "c": 24}


def external(location: str) -> bytes:
    tensor = TensorProto(
        name="a", data_type=TensorProto.FLOAT, dims=[5, 3], data_location=TensorProto.EXTERNAL
    )
    for key, value in (("location", location), ("offset", "0"), ("length", "60")):
        tensor.external_data.add(key=key, value=value)
    return model([helper.make_node("MatMul", ["obs", "a"], ["y"])], [tensor], {"y": 3}).SerializeToString()


def test_external_weights_are_named_and_not_counted_as_the_files() -> None:
    report = inspect(external("policy.onnx.data"))
    assert [finding.code for finding in report.findings] == ["external_data"]
    assert "policy.onnx.data" in report.findings[0].explanation
    assert dimensions(report)[:3] == (5, (), None)
    assert facts(report)["actor_head"] == (3,)
    assert report.bytes.weights == 0


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x", "..\\x", ""])
def test_external_weights_outside_the_folder_are_flagged(location: str) -> None:
    """CVE-2022-25882 and CVE-2024-27318: onnx followed such a path."""
    report = inspect(external(location))
    assert [(f.code, f.severity) for f in report.findings] == [("external_path", "high")]


def test_a_lying_length_is_flagged() -> None:
    tensor = TensorProto(name="a", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 20], raw_data=b"1234")
    report = inspect(
        model([helper.make_node("MatMul", ["obs", "a"], ["y"])], [tensor], {"y": 3}).SerializeToString()
    )
    assert [finding.code for finding in report.findings] == ["storage_size"]
    assert report.parameters == 1


def test_custom_operators_and_nested_graphs_are_told() -> None:
    inner = helper.make_graph([], "inner", [], [], [weight("w", 2, 2)])
    nodes = [
        helper.make_node("Evil", ["obs"], ["e"], domain="com.example"),
        helper.make_node("If", ["e"], ["y"], then_branch=inner),
    ]
    report = inspect(model(nodes, [], {"y": 3}).SerializeToString())
    assert {finding.code for finding in report.findings} == {"custom_operator", "nested_graph"}
    assert [tensor.name for tensor in report.tensors] == ["w"]
    assert report.architecture.action_dim.basis == "undetermined"


def test_a_large_weight_is_passed_over() -> None:
    big = weight("a", 1000, 1000)
    data = model([helper.make_node("MatMul", ["obs", "a"], ["y"])], [big], {"y": 1000}).SerializeToString()
    report = inspect(data, with_sha256=False)
    assert report.parameters == 1_000_000
    assert report.bytes_read < 200_000 < len(data)


def test_the_file_is_read_from_disk_as_onnx_saves_it(tmp_path: Path) -> None:
    made = model([helper.make_node("MatMul", ["obs", "a"], ["y"])], [weight("a", 5, 3)], {"y": 3})
    onnx.save(made, tmp_path / "policy.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    assert [finding.location for finding in inspect(tmp_path / "policy.onnx").findings] == ["w.bin"]


def test_a_model_without_a_graph_is_refused() -> None:
    with pytest.raises(UnreadableCheckpoint, match="holds no graph"):
        inspect(b"\x08\x07\x12\x07pytorch")


def test_fields_are_counted_against_a_budget() -> None:
    data = b"\x08\x07\x12\x00" + b"\x10\x01" * 5000
    with pytest.raises(LimitExceeded) as caught:
        inspect(data, limits=ReadLimits(max_opcodes=1000))
    assert caught.value.limit_name == "max_opcodes"


def test_very_many_nodes_and_outputs_end_at_a_budget() -> None:
    many = b"\x0a\x00" * 100_000
    with pytest.raises(LimitExceeded):
        inspect(
            b"\x08\x07\x3a"
            + bytes([0x80 | len(many) & 0x7F, 0x80 | len(many) >> 7 & 0x7F, len(many) >> 14])
            + many
        )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x0a\x7f1", "a field of 127 bytes"),
        (b"\x0b", "wire type 3"),
        (b"\x08" + b"\xff" * 12, "no end"),
        (b"\x08", "no end"),
        (b"\x02\x00", "a field of 0 bytes"),
    ],
)
def test_broken_protobuf_names_the_byte(data: bytes, why: str) -> None:
    message = Message(BytesSource(data), Meter(ReadLimits()), 0, len(data))
    with pytest.raises(UnreadableCheckpoint, match=why):
        list(message.fields())


HONEST = model(
    [helper.make_node("Gemm", ["obs", "a"], ["h"], transB=1), helper.make_node("Gemm", ["h", "b"], ["y"])],
    [weight("a", 8, 5), weight("b", 8, 3)],
    {"y": 3},
).SerializeToString()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_models_raise_nothing_but_our_own_errors(data: Any) -> None:
    mutated = bytearray(HONEST)
    for _ in range(data.draw(st.integers(1, 6))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    del mutated[data.draw(st.integers(1, len(mutated))) :]
    try:
        report = inspect(bytes(mutated))
    except CaliperError:
        return
    assert report.bytes.total == len(mutated)
