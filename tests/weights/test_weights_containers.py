"""The values behind every container: found where torch, ONNX and torch.export put them, or named as not to be had."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.weights_child import compare_weights
from app.checkpoint.weights_diff import WeightsDiff
from app.errors import UnreadableCheckpoint


def compare(left: Path, right: Path) -> WeightsDiff:
    return compare_weights(left, right, (inspect_checkpoint(left), inspect_checkpoint(right)))


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def moved(module: nn.Module) -> nn.Module:
    """The same with its second layer's weight doubled."""
    other = network()
    other.load_state_dict(module.state_dict())
    with torch.no_grad():
        other[2].weight.mul_(2.0)
    return other


def as_state_dict(module: nn.Module, path: Path) -> Path:
    torch.save(module.state_dict(), path)
    return path


def as_onnx(module: nn.Module, path: Path) -> Path:
    program = torch.onnx.export(module, (torch.zeros(2, 6),), dynamo=True, verbose=False, external_data=False)
    assert program is not None
    program.save(path)
    return path


def as_pt2(module: nn.Module, path: Path) -> Path:
    torch.export.save(torch.export.export(module, (torch.zeros(2, 6),)), path)
    return path


def as_torchscript(module: nn.Module, path: Path) -> Path:
    torch.jit.save(torch.jit.trace(module, torch.zeros(2, 6)), path)
    return path


WRITERS = {"onnx": as_onnx, "torch-export": as_pt2, "torchscript": as_torchscript}


@pytest.mark.filterwarnings("ignore")  # the exporters warn of themselves
@pytest.mark.parametrize("container", WRITERS)
def test_an_export_is_compared_with_another_and_with_the_state_dict(tmp_path: Path, container: str) -> None:
    module = network()
    left = WRITERS[container](module, tmp_path / "left.onnx")
    right = WRITERS[container](moved(module), tmp_path / "right.onnx")
    assert inspect_checkpoint(left).format == container
    found = compare(left, right)
    assert found.skipped == ()
    assert [row.name for row in found.tensors if row.changed] == ["2.weight"]
    assert found.total.values == sum(p.numel() for p in module.parameters())
    (row,) = (row for row in found.tensors if row.changed)
    assert row.relative_change == pytest.approx(1.0)
    assert row.norm_left == pytest.approx(float(module[2].weight.double().norm()), rel=1e-12)
    across = compare(left, as_state_dict(module, tmp_path / "bare.pt"))
    assert across.identical, across.explanation


@pytest.mark.filterwarnings("ignore")
def test_the_older_pt2_layout_and_pickled_weights_are_torch_zips_within(tmp_path: Path) -> None:
    module = network()
    current = as_pt2(module, tmp_path / "new.pt2")
    state = io.BytesIO()
    torch.save(module.state_dict(), state)
    for name, members in {
        "old": {"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": state.getvalue()}
    }.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
    assert compare(tmp_path / "old", current).identical
    assert compare(tmp_path / "old", tmp_path / "old").identical


@pytest.mark.filterwarnings("ignore")
def test_a_pickled_weight_among_raw_ones_is_compared(tmp_path: Path) -> None:
    """`use_pickle`: a weight that torch could not write raw is a torch zip in its record."""
    module = network()
    current = as_pt2(module, tmp_path / "new.pt2")
    name = next(iter(module.state_dict()))
    with zipfile.ZipFile(current) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    (config,) = (member for member in members if member.endswith("weights_config.json"))
    document = json.loads(members[config])
    document["config"][name]["use_pickle"] = True
    record = f"{config.rpartition('/')[0]}/{document['config'][name]['path_name']}"
    for moved in (0.0, 0.5):
        value = io.BytesIO()
        torch.save(module.state_dict()[name] + moved, value)
        changed = {**members, config: json.dumps(document).encode(), record: value.getvalue()}
        with zipfile.ZipFile(tmp_path / "pickled.pt2", "w") as archive:
            for member, data in changed.items():
                archive.writestr(member, data)
        diff = compare(tmp_path / "pickled.pt2", current)
        assert (diff.identical, diff.skipped) == (moved == 0.0, ())
        assert [row.name for row in diff.tensors if row.changed] == ([name] if moved else [])


def test_raw_values_that_begin_as_a_zip_are_values(tmp_path: Path) -> None:
    """A record of a .pt2 holds raw bytes or a torch zip; only a whole zip is one."""
    module = nn.Linear(4, 2, bias=False)
    raw = bytearray(module.weight.detach().numpy().tobytes())
    raw[:4] = b"PK\x03\x04"
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.frombuffer(bytes(raw), np.float32).reshape(2, 4).copy()))
    with pytest.MonkeyPatch.context():
        torch.export.save(torch.export.export(module, (torch.zeros(1, 4),)), tmp_path / "a.pt2")
    assert compare(tmp_path / "a.pt2", as_state_dict(module, tmp_path / "a.pt")).identical


def graph(*weights: Any) -> bytes:
    names = [weight.name for weight in weights]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in names]
    outputs = [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None) for name in names]
    model = helper.make_model(helper.make_graph(nodes, "g", [], outputs, list(weights)))
    data: bytes = model.SerializeToString()
    return data


def typed(name: str, kind: int, values: list[Any]) -> Any:
    """Values in the field of their type, not as raw bytes."""
    return helper.make_tensor(name, kind, [len(values)], values)


def test_onnx_values_that_stand_packed_are_read_and_others_named(tmp_path: Path) -> None:
    outside = numpy_helper.from_array(np.ones(4, np.float32), "outside")
    onnx.external_data_helper.set_external_data(outside, "weights.bin")
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    common = [
        numpy_helper.from_array(np.arange(4, dtype=np.int64), "raw_int"),
        typed("packed", TensorProto.FLOAT, [1.0, 2.0, 3.0]),
        typed("double", TensorProto.DOUBLE, [1.0, -2.0]),
        typed("varint", TensorProto.INT64, [1, 2]),
        typed("half", TensorProto.FLOAT16, [1.0, 2.0]),
        outside,
    ]
    (tmp_path / "a.onnx").write_bytes(graph(*common))
    common[1] = typed("packed", TensorProto.FLOAT, [1.0, 2.0, 4.0])
    (tmp_path / "b.onnx").write_bytes(graph(*common))
    found = compare(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert [(row.name, row.changed) for row in found.tensors] == [
        ("raw_int", 0),
        ("packed", 1),
        ("double", 0),
    ]
    assert found.tensors[1].max_absolute_change == 1.0
    reasons = {entry.name: entry.reason for entry in found.skipped}
    assert reasons == {
        "varint": "its values are no raw bytes",
        "half": "its values are no raw bytes",
        "outside": "its values lie in another file",
    }
    assert not found.identical


@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_an_onnx_file_that_changed_since_its_inspection_is_an_error_of_ours(
    tmp_path: Path, damage: str
) -> None:
    whole = graph(numpy_helper.from_array(np.ones(64, np.float32), "w"))
    (tmp_path / "a.onnx").write_bytes(whole)
    (tmp_path / "b.onnx").write_bytes(whole[:-40] if damage == "cut" else b"\x08\x07\xff" * 30)
    reports = (inspect_checkpoint(tmp_path / "a.onnx"),) * 2
    with pytest.raises(UnreadableCheckpoint):
        compare_weights(tmp_path / "a.onnx", tmp_path / "b.onnx", reports)
