"""Weights held against each other in the child process, checked by torch's own float64 arithmetic."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.weights_child import WeightsLimits, compare_weights
from app.checkpoint.weights_diff import TensorDistance, WeightsDiff
from app.errors import LimitExceeded, UnreadableCheckpoint

ROOT = Path(__file__).parents[2]
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def compare(left: Path, right: Path, **options: Any) -> WeightsDiff:
    reports = (inspect_checkpoint(left), inspect_checkpoint(right))
    return compare_weights(left, right, reports, **options)


def saved(path: Path, tensors: dict[str, Any], **options: Any) -> Path:
    torch.save(tensors, path, **options)
    return path


def check(found: TensorDistance, left: torch.Tensor, right: torch.Tensor) -> None:
    """The same figures by torch, in float64."""
    a, b = left.double().flatten(), right.double().flatten()
    apart = b - a
    moving = a != 0
    assert found.values == a.numel()
    assert found.changed == int((apart != 0).sum())
    assert found.max_absolute_change == float(apart.abs().max())
    assert found.max_relative_change == pytest.approx(
        float((apart[moving] / a[moving]).abs().max()), rel=1e-12
    )
    assert found.relative_change == pytest.approx(float(apart.norm() / a.norm()), rel=1e-9)
    assert found.cosine == pytest.approx(float(torch.dot(a, b) / a.norm() / b.norm()), abs=1e-12)
    assert found.norm_left == pytest.approx(float(a.norm()), rel=1e-12)
    assert found.norm_right == pytest.approx(float(b.norm()), rel=1e-12)


@pytest.mark.parametrize("container", ["zip", "legacy", "safetensors"])
def test_all_kinds_of_numbers_agree_with_torch(tmp_path: Path, container: str) -> None:
    torch.manual_seed(1)
    sides: list[dict[str, torch.Tensor]] = []
    for scale in (1.0, 1.1):
        tensors = {str(dtype)[6:]: (torch.randn(300, 7) * scale).to(dtype) for dtype in FLOATS}
        sides.append(tensors | {str(dtype)[6:]: torch.randint(0, 2, (33,)).to(dtype) for dtype in WHOLE})
    paths = [tmp_path / name for name in ("left", "right")]
    for path, tensors in zip(paths, sides, strict=True):
        if container == "safetensors":
            save_file(tensors, path)
        else:
            torch.save(tensors, path, _use_new_zipfile_serialization=container == "zip")
    found = compare(*paths)
    assert {row.name for row in found.tensors} == set(sides[0])
    assert found.skipped == ()
    for row in found.tensors:
        check(row, sides[0][row.name], sides[1][row.name])
    assert not found.identical
    assert found.bytes_read == 2 * sum(t.numel() * t.element_size() for t in sides[0].values())


def test_more_than_a_block_gives_the_same_figures(tmp_path: Path) -> None:
    torch.manual_seed(2)
    left, right = torch.randn(700, 500), torch.randn(700, 500)
    found = compare(saved(tmp_path / "a", {"w": left}), saved(tmp_path / "b", {"w": right}))
    check(found.tensors[0], left, right)
    both = found.total
    assert (both.values, both.max_absolute_change) == (350_000, found.tensors[0].max_absolute_change)


def test_views_are_read_by_their_strides(tmp_path: Path) -> None:
    torch.manual_seed(3)
    base = torch.randn(40, 60)
    views = {
        "turned": base.t(),
        "slice": base[3:9, 5:50:4],
        "column": base[:, 7],
        "repeated": base[0].expand(5, 60),
        "one": base[4:5, 2:3],
        "plain": base,
    }
    changed = {name: value + torch.randn(value.shape) for name, value in views.items()}
    found = compare(saved(tmp_path / "a", views), saved(tmp_path / "b", changed))
    assert [row.name for row in found.tensors] == list(views)
    for row in found.tensors:
        check(row, views[row.name], changed[row.name])


def test_a_view_strewn_over_too_much_is_said_and_the_rest_compared(tmp_path: Path) -> None:
    wide = torch.zeros(3, 9 << 20)
    a = saved(tmp_path / "a", {"strewn": wide.t(), "w": torch.ones(2)})
    b = saved(tmp_path / "b", {"strewn": wide.t(), "w": torch.ones(2)})
    found = compare(a, b)
    assert [row.name for row in found.tensors] == ["w"]
    assert "strewn over" in found.skipped[0].reason
    assert not found.identical


def test_a_file_is_identical_with_itself(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", {"w": torch.randn(9, 9), "b": torch.zeros(3)})
    found = compare(path, path)
    assert found.identical
    assert found.total.cosine == 1.0
    zeros = found.tensors[1]
    assert (zeros.max_absolute_change, zeros.max_relative_change, zeros.cosine) == (0.0, None, None)
    assert found.explanation == "all 84 values of 2 tensors are equal"


def test_what_is_not_finite_is_counted_and_left_out(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    left, right = torch.tensor([1.0, nan, inf, 3.0, nan]), torch.tensor([1.0, nan, -inf, 4.0, 2.0])
    (row,) = compare(saved(tmp_path / "a", {"w": left}), saved(tmp_path / "b", {"w": right})).tensors
    assert row.not_finite == (3, 2)
    assert row.changed == 3  # inf to -inf, 3 to 4, nan to 2
    assert (row.max_absolute_change, row.norm_left) == (1.0, pytest.approx(10**0.5))


def test_numbers_too_large_for_float64_are_null_and_the_answer_is_json(tmp_path: Path) -> None:
    left, right = torch.full((2,), 1e300, dtype=torch.float64), torch.full((2,), -1e300, dtype=torch.float64)
    (row,) = compare(saved(tmp_path / "a", {"w": left}), saved(tmp_path / "b", {"w": right})).tensors
    assert (row.max_absolute_change, row.norm_left, row.cosine) == (2e300, None, None)


def test_an_empty_tensor_has_no_figures(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", {"none": torch.zeros(0, 4), "w": torch.ones(1)})
    row = compare(path, path).tensors[0]
    assert (row.values, row.max_absolute_change, row.cosine) == (0, None, None)


def test_shapes_and_names_without_counterpart_are_named(tmp_path: Path) -> None:
    left = {"trunk.0.weight": torch.ones(4, 3), "trunk.0.bias": torch.ones(4), "log_std": torch.ones(2)}
    right = {
        "trunk.0.weight": torch.ones(4, 5),
        "trunk.0.bias": torch.ones(4),
        "extra.weight": torch.ones(9, 9),
    }
    found = compare(saved(tmp_path / "a", left), saved(tmp_path / "b", right))
    assert [row.name for row in found.tensors] == ["trunk.0.bias"]
    reasons = {entry.name: entry.reason for entry in found.skipped}
    assert reasons["trunk.0.weight"] == "of another shape: 4 x 3 against 4 x 5"
    assert reasons["log_std"] == "only in the left file"
    assert reasons["extra.weight"] == "only in the right file"


def test_types_that_have_no_float_are_refused_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", {"w": torch.ones(3, dtype=torch.complex64), "v": torch.ones(2)})
    found = compare(path, path)
    assert [(entry.name, entry.reason) for entry in found.skipped] == [
        ("w", "values of type complex64 are not compared")
    ]


def test_a_container_without_records_is_refused(tmp_path: Path) -> None:
    import pickle

    import numpy as np

    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"w": np.ones((3, 2))}))
    with pytest.raises(UnreadableCheckpoint, match="values of a pickle file are not compared"):
        compare(path, path)


def test_a_file_cut_short_is_said_for_its_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", {"w": torch.ones(1000)}, _use_new_zipfile_serialization=False)
    report = inspect_checkpoint(path)
    short = tmp_path / "short"
    short.write_bytes(path.read_bytes()[:-100])
    found = compare_weights(path, short, (report, report))
    assert found.tensors == ()
    assert "the file ends within the storage" in found.skipped[0].reason


def test_a_child_over_its_time_is_a_limit(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", {"w": torch.ones(10)})
    with pytest.raises(LimitExceeded, match="max_wall_seconds"):
        compare(path, path, limits=WeightsLimits(max_wall_seconds=0.001))


@pytest.mark.slow
def test_memory_stays_flat_whatever_the_tensors(tmp_path: Path) -> None:
    """4 GiB in all, sparse, within an address space of 600 MiB of which numpy takes most."""
    path = tmp_path / "large.safetensors"
    size = 512 << 20
    header = b'{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (size // 4, size)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    found = compare(path, path, limits=WeightsLimits(max_memory_bytes=600 << 20))
    assert (found.identical, found.bytes_read) == (True, 2 * size)


def test_the_reader_s_process_loads_no_numpy() -> None:
    code = (
        "import sys; import app.checkpoint.weights_child, app.checkpoint.diff; "
        "sys.exit('numpy' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_stable_baselines_zip_is_compared_with_a_state_dict_by_role(tmp_path: Path) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    from stable_baselines3 import PPO

    model = PPO("MlpPolicy", gymnasium.make("CartPole-v1"), n_steps=8, batch_size=8, device="cpu")
    model.save(tmp_path / "sb3.zip")
    state = {
        key.replace("mlp_extractor.policy_net", "actor"): value
        for key, value in model.policy.state_dict().items()
    }
    names = {"action_net": "actor.4", "mlp_extractor.value_net": "critic", "value_net": "critic.4"}
    for old, new in names.items():
        state = {
            new + key.removeprefix(old) if key.startswith(f"{old}.") else key: value
            for key, value in state.items()
        }
    bare = io.BytesIO()
    torch.save(state, bare)
    (tmp_path / "cleanrl.pt").write_bytes(bare.getvalue())
    found = compare(tmp_path / "sb3.zip", tmp_path / "cleanrl.pt")
    assert found.skipped == ()
    assert found.identical, found.explanation
    assert {row.right_name for row in found.tensors} == set(state)
