"""RLlib: the folder that an RLModule of ray 2.60.0 writes, built from its keys (ray is too large to install here)."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.checkpoint.reading import dimensions, facts, inspect

SHARED = {"encoder.encoder.net.mlp.0.weight": (32, 5), "encoder.encoder.net.mlp.2.weight": (16, 32)}
RECURRENT = {
    "encoder.encoder.tokenizer.net.mlp.0.weight": (32, 5),
    "encoder.encoder.tokenizer.net.mlp.2.weight": (16, 32),
    "encoder.encoder.lstm.weight_ih_l0": (96, 16),
    "encoder.encoder.lstm.weight_hh_l0": (96, 24),
}
SEPARATE = {
    f"encoder.{role}_encoder.net.mlp.{at}.weight": shape
    for role in ("actor", "critic")
    for at, shape in ((0, (32, 5)), (2, (16, 32)))
}


class Module:
    """Stands for ray's class of the module, which is not there when the file is read."""


def folder(path: Path, encoder: dict[str, Any], actions: Any, outputs: int, **model: Any) -> Path:
    """module_state.pkl, class_and_ctor_args.pkl and metadata.json of one module."""
    width = 24 if encoder is RECURRENT else 16
    heads = {
        "pi.net.mlp.0.weight": (outputs, width),
        "pi.net.mlp.0.bias": (outputs,),
        "vf.net.mlp.0.weight": (1, width),
    }
    state = {name: np.zeros(shape, np.float32) for name, shape in {**encoder, **heads}.items()}
    kwargs = {
        "observation_space": gym.spaces.Box(-1, 1, (5,), np.float32),
        "action_space": actions,
        "model_config": {"fcnet_hiddens": [32, 16], "fcnet_activation": "tanh", **model},
    }
    path.mkdir(parents=True, exist_ok=True)
    (path / "module_state.pkl").write_bytes(pickle.dumps(state))
    (path / "class_and_ctor_args.pkl").write_bytes(
        pickle.dumps({"class": Module, "ctor_args_and_kwargs": ((), kwargs)})
    )
    (path / "metadata.json").write_text(json.dumps({"ray_version": "2.60.0", "state_file": "module_state"}))
    return path


@pytest.mark.parametrize(
    ("encoder", "actions", "outputs", "expected"),
    [
        (SHARED, gym.spaces.Discrete(3), 3, (3, "discrete")),
        (SEPARATE, gym.spaces.Box(-1, 1, (2,), np.float32), 4, (2, "gaussian")),
        (RECURRENT, gym.spaces.MultiDiscrete([3, 2]), 5, (2, "multi_discrete")),
    ],
)
def test_a_modules_folder(
    tmp_path: Path, encoder: dict[str, Any], actions: Any, outputs: int, expected: tuple[Any, ...]
) -> None:
    recurrent = encoder is RECURRENT
    report = inspect(folder(tmp_path, encoder, actions, outputs, use_lstm=recurrent, lstm_cell_size=24))
    assert (report.producer, report.format, report.complete) == ("rllib", "folder", True)
    assert dimensions(report) == (5, (32, 16), *expected)
    assert report.architecture.hidden_dims.basis == report.architecture.action_dim.basis == "both"
    assert facts(report)["shared_trunk"] is (encoder is not SEPARATE)
    assert facts(report)["recurrent_kind"] == ("lstm" if recurrent else None)
    assert facts(report)["activation"] == "tanh"
    assert report.versions == {"ray": "2.60.0"}
    assert not report.suspicious


def test_a_zip_of_a_whole_algorithm(tmp_path: Path) -> None:
    home = tmp_path / "learner_group/learner/rl_module/default_policy"
    folder(home, SHARED, gym.spaces.Discrete(3), 3)
    (tmp_path / "algorithm_state.pkl").write_bytes(pickle.dumps({"iteration": 3}))
    packed = tmp_path / "checkpoint.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(tmp_path.rglob("*.pkl")):
            archive.write(path, path.relative_to(tmp_path).as_posix())
    report = inspect(packed)
    assert (report.producer, report.format) == ("rllib", "zip")
    assert dimensions(report) == (5, (32, 16), 3, "discrete")


def test_the_weights_alone_do_not_tell_what_the_outputs_mean(tmp_path: Path) -> None:
    report = inspect(folder(tmp_path, SHARED, gym.spaces.Discrete(3), 3) / "module_state.pkl")
    assert report.producer == "rllib"
    assert dimensions(report) == (5, (32, 16), None, None)
    assert "class_and_ctor_args.pkl" in report.architecture.action_dim.note
