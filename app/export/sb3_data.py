"""The `data` member of a Stable-Baselines3 zip: JSON, in which what JSON cannot say stands as a base64 pickle.

stable_baselines3.common.save_util.data_to_json writes it with cloudpickle. The four pickles needed here, a class, a
dict and two spaces, are written opcode by opcode: they name classes and hold numbers, no code. Opcodes: the standard
library's pickletools; protocol 3, the first with bytes.
"""

import base64
import json
import math
import struct
from typing import Any

from app.export.source import Policy
from app.network.shape import HEAD_DIM, NetworkShape

SB3_VERSION = "2.9.2"
"""Version whose files these are; the tests load them there."""

ACTIVATIONS = {"tanh": "Tanh", "relu": "ReLU", "elu": "ELU", "silu": "SiLU"}
"""The class in torch.nn.modules.activation of each activation."""

_START, _END = b"\x80\x03", b"."


def describe_algorithm(policy: Policy) -> str:
    """The JSON from which `PPO.load` builds the algorithm, with the hyperparameters that it shares with ours.

    `n_envs` is 1, since a rollout buffer of that many environments is made on loading. Learning rate and clip
    range are those of the start, held constant.
    """
    config, shape = policy.config, policy.shape
    low, high = policy.action_bounds
    data: dict[str, Any] = {
        "policy_class": _pickled("<class 'abc.ABCMeta'>", _class(*_POLICY_CLASS)),
        "verbose": 0,
        "policy_kwargs": _pickled("<class 'dict'>", _policy_kwargs(shape, ACTIVATIONS[config.activation])),
        "num_timesteps": policy.global_step,
        "_total_timesteps": policy.global_step,
        "_num_timesteps_at_start": 0,
        "seed": None,
        "action_noise": None,
        "start_time": 0.0,
        "learning_rate": float(config.learning_rate),
        "tensorboard_log": None,
        "_last_obs": None,
        "_last_episode_starts": None,
        "_last_original_obs": None,
        "_episode_num": 0,
        "use_sde": False,
        "sde_sample_freq": -1,
        "_current_progress_remaining": 1.0,
        "_stats_window_size": 100,
        "ep_info_buffer": None,
        "ep_success_buffer": None,
        "_n_updates": 0,
        "observation_space": _pickled(_BOX, _box(shape.obs_dim, -math.inf, math.inf)),
        "action_space": _action_space(shape, low, high),
        "n_envs": 1,
        "n_steps": config.num_steps,
        "gamma": config.gamma,
        "gae_lambda": config.gae_lambda,
        "ent_coef": config.ent_coef,
        "vf_coef": config.vf_coef,
        "max_grad_norm": config.max_grad_norm,
        "rollout_buffer_class": None,
        "rollout_buffer_kwargs": {},
        "batch_size": config.minibatch_size,
        "n_epochs": config.update_epochs,
        "clip_range": config.clip_coef,
        "clip_range_vf": config.clip_coef if config.clip_vloss else None,
        "normalize_advantage": config.norm_adv,
        "target_kl": config.target_kl,
    }
    return json.dumps(data, indent=4)


_POLICY_CLASS = ("stable_baselines3.common.policies", "ActorCriticPolicy")
_BOX = "<class 'gymnasium.spaces.box.Box'>"
_DISCRETE = "<class 'gymnasium.spaces.discrete.Discrete'>"


def _action_space(shape: NetworkShape, low: float, high: float) -> dict[str, str]:
    if shape.action_kind == "gaussian":
        return _pickled(_BOX, _box(shape.action_dim, low, high))
    state = {"n": _integer(shape.action_dim), "start": _integer(0), "dtype": _dtype("i8"), "_shape": b")"}
    return _pickled(_DISCRETE, _made("gymnasium.spaces.discrete", "Discrete", state))


def _box(size: int, low: float, high: float) -> bytes:
    shape = _integer(size) + b"\x85"

    def filled(kind: str, value: bytes) -> bytes:
        return _array(kind, shape, value * size)

    state = {
        "dtype": _dtype("f4"),
        "_shape": shape,
        "low": filled("f4", struct.pack("<f", low)),
        "bounded_below": filled("b1", struct.pack("<?", math.isfinite(low))),
        "high": filled("f4", struct.pack("<f", high)),
        "bounded_above": filled("b1", struct.pack("<?", math.isfinite(high))),
        "low_repr": _text(str(low)),
        "high_repr": _text(str(high)),
    }
    return _made("gymnasium.spaces.box", "Box", state)


def _made(module: str, name: str, state: dict[str, bytes]) -> bytes:
    """An object made without calling its class, and its attributes."""
    pairs = b"".join(_text(key) + value for key, value in {**state, "_np_random": b"N"}.items())
    return _class(module, name) + b")\x81}(" + pairs + b"ub"


def _array(kind: str, shape: bytes, data: bytes) -> bytes:
    """A numpy array as numpy pickles it; the module's old name is the one that all versions know."""
    empty = _class("numpy.core.multiarray", "_reconstruct") + _class("numpy", "ndarray")
    empty += _integer(0) + b"\x85B\x01\x00\x00\x00b\x87R"
    values = b"B" + struct.pack("<I", len(data)) + data
    return empty + b"(" + _integer(1) + shape + _dtype(kind) + b"\x89" + values + b"tb"


def _dtype(kind: str) -> bytes:
    """numpy.dtype(kind), little-endian, in the form of its own pickles."""
    order = b"|" if kind.endswith("1") else b"<"
    state = _integer(3) + _text(order.decode()) + b"NNN" + _integer(-1) * 2 + _integer(0)
    return _class("numpy", "dtype") + _text(kind) + b"\x89\x88\x87R(" + state + b"tb"


def _policy_kwargs(shape: NetworkShape, activation: str) -> bytes:
    """net_arch, activation_fn, and no orthogonal initialisation, which loading would compute for nothing."""
    widths = b"](" + b"".join(map(_integer, (*shape.hidden_dims, HEAD_DIM))) + b"e"
    arch = b"}(" + _text("pi") + widths + _text("vf") + widths + b"u"
    named = _class("torch.nn.modules.activation", activation)
    pairs = _text("net_arch") + arch + _text("activation_fn") + named + _text("ortho_init") + b"\x89"
    return b"}(" + pairs + b"u"


def _pickled(kind: str, opcodes: bytes) -> dict[str, str]:
    return {":type:": kind, ":serialized:": base64.b64encode(_START + opcodes + _END).decode()}


def _class(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _float(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)
