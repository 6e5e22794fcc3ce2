"""Every predicted size against a file that was really written: checkpoint, weights alone, safetensors, ONNX."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.network.config import PPOConfig
from app.network.disk.contents import Provenance, policy_specs
from app.network.disk.export_metadata import Origin, export_metadata
from app.network.disk.file_layout import layout_bytes
from app.network.disk.onnx_layout import MOST_BYTES, onnx_layout
from app.network.disk.pickle_size import TensorSpec
from app.network.disk.safetensors_layout import CODES, safetensors_layout
from app.network.estimate import DiskEstimate, disk_estimate
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from tests.export.policies import PROVENANCE, Made, make_policy

torch = pytest.importorskip("torch")

features = st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=9)
provenances = st.builds(
    Provenance,
    feature_schema=st.none()
    | st.fixed_dictionaries(
        {
            "names": st.lists(features, min_size=1, max_size=5),
            "account": st.lists(features, max_size=2),
            "lookback": st.integers(1, 9_999),
            "hash": st.text("0123456789abcdef", min_size=64, max_size=64),
        }
    ),
    normaliser=st.none()
    | st.fixed_dictionaries(
        {
            "kind": st.just("robust"),
            "center": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
        }
    ),
    dataset=st.none()
    | st.fixed_dictionaries({"sha256": st.just("ab" * 32), "job_id": st.text("0123456789abcdef", min_size=4)})
    | st.fixed_dictionaries(
        {"datasets": st.lists(st.just({"sha256": "ab" * 32}), max_size=3), "job_id": st.just("job_1")}
    ),
)


def _estimated(made: Made, about: Provenance | None) -> DiskEstimate:
    return disk_estimate(made.shape, made.config, RunPlan(device_type="cpu", provenance=about))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    obs_dim=st.integers(1, 300),
    hidden=st.lists(st.integers(1, 140), min_size=1, max_size=4).map(tuple),
    action=st.tuples(st.integers(1, 200), st.sampled_from(["discrete", "gaussian"])),
    layer_norm=st.booleans(),
    shared_trunk=st.booleans(),
    more=st.fixed_dictionaries(
        {
            "norm_obs": st.booleans(),
            "norm_reward": st.booleans(),
            "activation": st.sampled_from(["tanh", "relu", "elu", "silu"]),
        }
    ),
    about=provenances,
)
def test_files_are_as_large_as_predicted(  # noqa: PLR0917 - what is drawn
    tmp_path: Path,
    obs_dim: int,
    hidden: tuple[int, ...],
    action: tuple[int, Any],
    layer_norm: bool,
    shared_trunk: bool,
    more: dict[str, Any],
    about: Provenance,
) -> None:
    shape = NetworkShape(obs_dim, hidden, *action, layer_norm=layer_norm, shared_trunk=shared_trunk)
    made = make_policy(tmp_path, shape, about, **more)
    disk = _estimated(made, about)
    assert disk.checkpoint.bytes == made.path.stat().st_size
    assert disk.weights_only.bytes == made.export("torch").stat().st_size
    assert disk.safetensors.bytes == made.export("safetensors").stat().st_size
    assert disk.onnx is not None
    assert disk.onnx.bytes == made.export("onnx").stat().st_size


def test_torch_s_own_weights_only_file_has_that_size(tmp_path: Path) -> None:
    made = make_policy(tmp_path, NetworkShape(53, (32, 16), layer_norm=True))
    state = {name: value.clone() for name, value in made.network.state_dict().items()}
    with (tmp_path / "theirs").open("wb") as file:
        torch.save(state, file)
    assert _estimated(made, PROVENANCE).weights_only.bytes == (tmp_path / "theirs").stat().st_size


def test_the_library_s_own_safetensors_file_has_that_size_and_those_tensors(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    made = make_policy(tmp_path, NetworkShape(7, (5,), 3, "gaussian"))
    ours = made.export("safetensors").read_bytes()
    state = {name: value.clone() for name, value in made.network.state_dict().items()}
    metadata = json.loads(ours[8 : 8 + struct.unpack("<Q", ours[:8])[0]])["__metadata__"]
    theirs = library.save(state, metadata)
    assert len(theirs) == len(ours)  # the library's map of metadata has no order
    assert ours.endswith(theirs[-made.shape.parameters * 4 :])
    loaded = library.load(ours)
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


tensors = st.dictionaries(
    st.text(max_size=12).filter(lambda name: name != "__metadata__"),
    st.tuples(st.lists(st.integers(1, 5), max_size=3).map(tuple), st.sampled_from(sorted(CODES))),
    max_size=8,
)


@settings(max_examples=60)
@given(tensors)
def test_any_safetensors_file_is_the_library_s_to_the_byte(found: dict[str, tuple[Any, str]]) -> None:
    """Names of any script and with quotes, all dtypes; the header is compared, the values are zeros."""
    library = pytest.importorskip("safetensors.torch")
    theirs = library.save(
        {name: torch.zeros(size, dtype=getattr(torch, kind)) for name, (size, kind) in found.items()}
    )
    layout = safetensors_layout({name: TensorSpec(*each) for name, each in found.items()})
    ours = b"".join(part if isinstance(part, bytes) else bytes(part.length) for part in layout)
    assert ours == theirs


def test_past_two_gibibytes_there_is_no_onnx_size() -> None:
    shape = NetworkShape(8_389_000, (64,))
    disk = disk_estimate(shape, PPOConfig(hidden_dims=(64,)))
    assert disk.onnx is None
    assert disk.safetensors.bytes > MOST_BYTES


def test_metadata_have_one_length_whatever_training_finds() -> None:
    shape, config = NetworkShape(8, (4,)), PPOConfig(hidden_dims=(4,))
    lengths = {
        layout_bytes(
            safetensors_layout(
                policy_specs(shape),
                export_metadata(
                    shape, config, Origin(normaliser={"center": [value]}, source_sha256=digit * 64)
                ),
            )
        )
        for value, digit in ((0.0, "0"), (-2.2250738585072014e-308, "f"), (1.5, "7"))
    }
    assert len(lengths) == 1


def test_a_scaler_of_very_many_datasets_is_left_out() -> None:
    shape, config = NetworkShape(8, (4,)), PPOConfig(hidden_dims=(4,))
    many = {str(index): [0.0] * 100 for index in range(101)}
    assert "feature_scaler" not in export_metadata(shape, config, Origin(normaliser=many))


def test_the_layout_names_each_tensor_once() -> None:
    shape = NetworkShape(8, (4, 3), layer_norm=True, shared_trunk=False)
    layout = onnx_layout(shape, "silu", norm_obs=False, metadata={})
    assert [part.name for part in layout if not isinstance(part, bytes)] == [
        name for name, _ in shape.tensors
    ]
