"""Checkpoints on disk: predicted to the byte, whole or not at all, readable without executing anything."""

import errno
import hashlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from app.errors import InvalidInput, UnreadableCheckpoint
from app.network.config import PPOConfig
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.canonical import canonical_tree
from app.network.disk.contents import (
    ADAM_EPS,
    LearnedState,
    Provenance,
    checkpoint_contents,
    policy_specs,
    predicted_contents,
    trainer_state_specs,
)
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import NetworkShape
from worker import save
from worker.save import load_checkpoint, save_checkpoint

FORMAT = {"format": "caliper-checkpoint/1"}


def _tensors(tree: Any) -> Any:
    """The tree with a tensor in place of each spec."""
    return canonical_tree(tree, lambda spec, _: torch.ones(spec.shape, dtype=getattr(torch, spec.dtype)))


def _trained(
    shape: NetworkShape, config: PPOConfig, **variant: bool
) -> tuple[dict[str, nn.Parameter], torch.optim.Adam]:
    """Parameters of the shape's tensors after one real step of Adam."""
    parameters = {name: nn.Parameter(torch.ones(size)) for name, size in shape.tensors}
    optimizer = torch.optim.Adam(parameters.values(), lr=config.learning_rate, eps=ADAM_EPS, **variant)
    for parameter in parameters.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return parameters, optimizer


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)

configs = st.builds(
    PPOConfig,
    hidden_dims=st.lists(st.integers(1, 24), min_size=1, max_size=5).map(tuple),
    num_envs=st.sampled_from([1, 3, 64]),
    num_steps=st.sampled_from([4, 128]),
    total_timesteps=st.integers(1, 10**12),
    learning_rate=st.floats(1e-6, 1e-2),
    target_kl=st.none() | st.floats(0.001, 0.1),
    activation=st.sampled_from(["tanh", "relu", "elu", "silu"]),
    layer_norm=st.booleans(),
    shared_trunk=st.booleans(),
    norm_obs=st.booleans(),
    norm_reward=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
)


schemas = st.none() | st.fixed_dictionaries(
    {
        "names": st.lists(st.text(min_size=1, max_size=12), max_size=6),
        "lookback": st.integers(1, 5_000),
        "parameters": st.dictionaries(st.text(max_size=8), st.floats(), max_size=3),
        "hash": st.text("0123456789abcdef", min_size=64, max_size=64),
    }
)

provenances = st.builds(
    Provenance,
    feature_schema=schemas,
    normaliser=json_values,
    dataset=json_values,
    versions=st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4),
)

adam_variants = st.sampled_from(
    [
        {},
        {"foreach": True},
        {"foreach": False},
        {"fused": True},
        {"fused": False},
        {"foreach": False, "fused": True},
    ]
)
"""How the optimizer walks over the tensors; its flags stand in the file."""


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    config=configs,
    obs_dim=st.integers(1, 300),
    action=st.tuples(st.integers(1, 9), st.sampled_from(["discrete", "gaussian"])),
    device_type=st.sampled_from(["cpu", "cuda"]),
    about=provenances,
    env_state=st.dictionaries(
        st.text(max_size=12),
        st.builds(TensorSpec, st.tuples(st.integers(0, 9)), st.sampled_from(["int64", "float64", "bool"]))
        | st.text(max_size=9),
        max_size=4,
    ),
    variant=adam_variants,
)
def test_the_file_is_as_large_as_predicted(  # noqa: PLR0917 - what is drawn
    tmp_path: Path,
    config: PPOConfig,
    obs_dim: int,
    action: tuple[int, Any],
    device_type: str,
    about: Provenance,
    env_state: dict[str, Any],
    variant: dict[str, bool],
) -> None:
    """300 networks, configurations and origins drawn afresh: the real writer's file has the predicted length."""
    shape = NetworkShape(
        obs_dim, config.hidden_dims, *action, layer_norm=config.layer_norm, shared_trunk=config.shared_trunk
    )
    parameters, optimizer = _trained(shape, config, **variant)
    state = _tensors(trainer_state_specs(shape, config, device_type=device_type, env_state=env_state))
    learned = LearnedState(parameters, optimizer.state_dict(), state)
    saved = save_checkpoint(tmp_path / "run.pt", checkpoint_contents(shape, config, learned, about))
    predicted = predicted_contents(
        shape, config, device_type=device_type, env_state=env_state, provenance=about
    )
    assert saved.bytes == saved.path.stat().st_size == torch_save_bytes(predicted)


def test_weights_alone_are_predicted_too(tmp_path: Path) -> None:
    shape = NetworkShape(53, (32, 16), layer_norm=True)
    weights = {name: torch.ones(size) for name, size in shape.tensors}
    saved = save_checkpoint(tmp_path / "weights.pt", weights)
    assert saved.bytes == torch_save_bytes(policy_specs(shape))


def test_counters_do_not_change_the_size(tmp_path: Path) -> None:
    sizes = {
        save_checkpoint(tmp_path / "c.pt", {"global_step": torch.tensor(step)}).bytes
        for step in (0, 300, 10**12)
    }
    assert len(sizes) == 1


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    tree = {**FORMAT, "a": torch.arange(6.0).reshape(2, 3), "b": [1, (2, None), "x"], "c": torch.tensor(7)}
    saved = save_checkpoint(tmp_path / "run.pt", tree)
    loaded = load_checkpoint(saved.path)
    assert torch.equal(loaded["a"], tree["a"])
    assert loaded["b"] == [1, (2, None), "x"]
    assert loaded["c"].dtype is torch.int64
    assert saved.sha256 == hashlib.sha256(saved.path.read_bytes()).hexdigest()


def test_views_and_shared_tensors_get_storages_of_their_own(tmp_path: Path) -> None:
    base = torch.arange(10_000.0)
    view, turned = base[2:5], torch.arange(6.0).reshape(2, 3).t()
    tree = {**FORMAT, "view": view, "again": view, "turned": turned, "parameter": nn.Parameter(view.clone())}
    saved = save_checkpoint(tmp_path / "run.pt", tree)
    specs = {**FORMAT, **{name: TensorSpec((3,)) for name in ("view", "again")}}
    specs |= {"turned": TensorSpec((3, 2)), "parameter": TensorSpec((3,))}
    assert saved.bytes == torch_save_bytes(specs)
    loaded = load_checkpoint(saved.path)
    assert loaded["view"].tolist() == loaded["again"].tolist() == [2.0, 3.0, 4.0]
    assert torch.equal(loaded["turned"], turned)
    assert loaded["turned"].is_contiguous()
    assert not loaded["parameter"].requires_grad


def test_saving_leaves_the_tensors_themselves_alone(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.ones(3))
    save_checkpoint(tmp_path / "run.pt", {"w": weight})
    assert weight.requires_grad
    assert weight.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "value", [b"raw", {1}, object(), torch.ones(2).to_sparse(), torch.zeros(1, dtype=torch.uint16)]
)
def test_what_cannot_be_saved_is_refused_and_nothing_is_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(InvalidInput, match="cannot stand in a checkpoint") as caught:
        save_checkpoint(tmp_path / "run.pt", {"x": value})
    assert caught.value.pointer == "/x"
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """A file that takes so many bytes and then reports a full disk."""

    def __init__(self, file: Any, room: int) -> None:
        self.file = file
        self.room = room

    def write(self, data: Any) -> int:
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self.file.write(data))

    def flush(self) -> None:
        self.file.flush()


@pytest.fixture
def old_checkpoint(tmp_path: Path) -> Iterator[Path]:
    """A checkpoint that must survive whatever goes wrong with the next one."""
    path = tmp_path / "run.pt"
    save_checkpoint(path, {**FORMAT, "x": torch.ones(3)})
    before = path.read_bytes()
    yield path
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize("room", [0, 100, 30_000])
def test_a_full_disk_leaves_the_old_file(
    old_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    real = save._HashingSink
    monkeypatch.setattr(save, "_HashingSink", lambda file: real(FullDisk(file, room)))
    with pytest.raises(OSError, match="No space left") as caught:
        save_checkpoint(old_checkpoint, {**FORMAT, "x": torch.ones(10_000)})
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_after_writing_leaves_the_old_file(
    old_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fail)
        with pytest.raises(OSError, match="Input/output error"):
            save_checkpoint(old_checkpoint, {**FORMAT, "x": torch.ones(10)})


def test_an_interruption_leaves_the_old_file(old_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(old_checkpoint, FORMAT)


def test_the_file_s_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        saved = save_checkpoint(tmp_path / "run.pt", FORMAT)
    finally:
        os.umask(before)
    assert saved.path.stat().st_mode & 0o777 == 0o640


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCheckpoint, match=r"there is no file gone\.pt"):
        load_checkpoint(tmp_path / "gone.pt")


def test_a_truncated_file_is_damaged(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "run.pt", {**FORMAT, "x": torch.ones(100)}).path
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableCheckpoint, match=r"run\.pt"):
        load_checkpoint(path)


def test_an_empty_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "empty.pt"
    path.touch()
    with pytest.raises(UnreadableCheckpoint, match=r"empty\.pt"):
        load_checkpoint(path)


class Payload:
    """Would write a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "was here"
    torch.save({**FORMAT, "x": Payload(trace)}, path)
    with pytest.raises(UnreadableCheckpoint, match=r"would call posix\.mkdir") as caught:
        load_checkpoint(path)
    assert not trace.exists()
    assert "weights_only" not in caught.value.detail


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.pt"
    path.write_bytes(pickle.dumps(FORMAT, protocol=5))
    with pytest.raises(UnreadableCheckpoint):
        load_checkpoint(path)


@pytest.mark.parametrize("tree", [[1], {"policy": 1}, {"format": "other/1"}])
def test_a_torch_file_of_another_kind_is_refused(tmp_path: Path, tree: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(tree, path)
    with pytest.raises(UnreadableCheckpoint, match="no Caliper checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("normalised", [False, True])
def test_a_real_run_s_file_is_as_large_as_predicted(tmp_path: Path, normalised: bool) -> None:
    trainer_module = pytest.importorskip("worker.ppo.trainer")
    adapter = pytest.importorskip("worker.ppo.gymnasium_adapter")
    config = PPOConfig(
        (16, 8), 200, 4, 16, norm_obs=normalised, norm_reward=normalised, layer_norm=normalised
    )
    env = adapter.GymnasiumBatch("CartPole-v1", 4)
    trainer = trainer_module.NativePPOTrainer(env, config)
    assert len(list(trainer.train())) == config.num_updates
    shape = NetworkShape(4, config.hidden_dims, 2, layer_norm=normalised)
    learned = LearnedState(**trainer.state_dict())
    saved = save_checkpoint(tmp_path / "run.pt", checkpoint_contents(shape, config, learned))
    env_state = canonical_tree(
        env.state_dict(),
        lambda value, _: TensorSpec(tuple(value.shape), str(value.dtype).removeprefix("torch.")),
    )
    env.close()
    assert saved.bytes == torch_save_bytes(predicted_contents(shape, config, env_state=env_state))
    assert load_checkpoint(saved.path)["config"]["hidden_dims"] == [16, 8]
