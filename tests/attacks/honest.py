"""Honest files, made by the real libraries: a reader that flags one of them cries wolf."""

import collections
import datetime as dt
import io
import pathlib
import random
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from app.network.config import PPOConfig
from app.network.disk.canonical import canonical_tree
from app.network.disk.contents import predicted_contents
from app.network.shape import NetworkShape
from tests.checkpoint.real_files import (
    Policy,
    TrainerConfig,
    agent,
    caliper_tree,
    plain_config,
    saved,
    trained,
)
from worker.save import save_checkpoint

HONEST: dict[str, Callable[[], bytes]] = {}
"""The file of each name."""


def honest(build: Callable[[], bytes]) -> Callable[[], bytes]:
    HONEST[build.__name__] = build
    return build


@honest
def caliper_checkpoint() -> bytes:
    """As the worker saves it."""
    config = PPOConfig(hidden_dims=(16, 8))
    tree = predicted_contents(NetworkShape(12, (16, 8), 3, "discrete"), config)
    made = canonical_tree(tree, lambda spec, _: torch.ones(spec.shape, dtype=getattr(torch, spec.dtype)))
    with tempfile.TemporaryDirectory() as folder:
        return save_checkpoint(Path(folder, "run.pt"), made).path.read_bytes()


@honest
def caliper_like_trainer() -> bytes:
    return saved(caliper_tree(Policy(), plain_config()))


@honest
def caliper_separate_gaussian() -> bytes:
    return saved(caliper_tree(Policy(shared=False, gaussian=True, layer_norm=True), plain_config()))


@honest
def trainer_with_a_config_object() -> bytes:
    return saved(caliper_tree(Policy(), TrainerConfig()))


@honest
def trainer_protocol_5() -> bytes:
    return saved(caliper_tree(Policy(), TrainerConfig()), pickle_protocol=5)


@honest
def trainer_legacy() -> bytes:
    return saved(caliper_tree(Policy(), plain_config()), _use_new_zipfile_serialization=False)


@honest
def cleanrl_agent() -> bytes:
    return saved(agent().state_dict())


@honest
def cleanrl_continuous() -> bytes:
    return saved(agent(gaussian=True).state_dict())


@honest
def whole_module() -> bytes:
    return saved(Policy())


@honest
def module_of_many_layers() -> bytes:
    layers = [
        nn.LSTM(4, 8),
        nn.Conv1d(2, 3, 1),
        nn.LayerNorm(4),
        nn.Embedding(5, 2),
        nn.GELU(),
        nn.Dropout(0.1),
    ]
    return saved(nn.ModuleList(layers))


@honest
def bare_tensor() -> bytes:
    return saved(torch.arange(6).reshape(2, 3).t())


@honest
def shared_and_tied_weights() -> bytes:
    weight = torch.ones(8, 8)
    return saved({"a": weight, "b": weight, "c": weight[2:4], "d": weight.t()})


@honest
def every_dtype() -> bytes:
    names = ("float64", "float16", "bfloat16", "int64", "int8", "uint8", "bool", "complex64", "float8_e4m3fn")
    return saved({name: torch.ones(3).to(getattr(torch, name)) for name in names})


@honest
def optimizers() -> bytes:
    kinds = ("Adam", "AdamW", "RMSprop", "SGD")
    return saved({kind: trained(Policy(), kind).state_dict() for kind in kinds})


@honest
def random_states() -> bytes:
    states = {"python": random.getstate(), "torch": torch.get_rng_state(), "numpy": np.random.default_rng(1)}
    return saved({"rng": states, "legacy": np.random.RandomState(1)})


@honest
def numpy_values() -> bytes:
    values = [np.float32(1.5), np.int64(7), np.arange(6, dtype=np.float32), np.array([["a"]]), np.bool_(1)]
    return saved({"values": values, "empty": np.zeros((0, 3))})


@honest
def library_values() -> bytes:
    values = {
        "when": dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
        "where": pathlib.PurePosixPath("runs/1"),
        "names": {"a", "b"},
        "frozen": frozenset({1}),
        "counts": collections.Counter("aab"),
        "ordered": collections.OrderedDict(a=1),
        "queue": collections.deque([1, 2]),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "size": torch.Size([1, 2]),
        "number": complex(1, 2),
        "large": 1 << 200,
        "bytes": bytearray(b"12"),
    }
    return saved(values)


@honest
def sparse_and_meta() -> bytes:
    return saved({"sparse": torch.eye(3).to_sparse(), "plain": torch.ones(2)})


@honest
def safetensors_weights() -> bytes:
    return save_safetensors(Policy().state_dict(), {"format": "pt"})


@honest
def torchscript() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(4, 3), nn.Tanh())), file)
    return file.getvalue()


def _sb3(kind: str, **options: Any) -> bytes:
    import stable_baselines3

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = "Pendulum-v1" if kind == "SAC" else "CartPole-v1"
        getattr(stable_baselines3, kind)("MlpPolicy", env, device="cpu", **options).save(file)
    return file.getvalue()


@honest
def sb3_ppo() -> bytes:
    return _sb3("PPO", n_steps=8, batch_size=8)


@honest
def sb3_a2c() -> bytes:
    return _sb3("A2C")


@honest
def sb3_dqn() -> bytes:
    return _sb3("DQN", buffer_size=10)


@honest
def sb3_sac() -> bytes:
    return _sb3("SAC", buffer_size=10)
