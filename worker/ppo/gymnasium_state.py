"""The state of a Gymnasium environment as tensors and plain values, and back.

Read are the attributes of the environment and of each wrapper around it. That is exact for environments
written in Python with NumPy (classic control, toy text, most own ones); state held by a library behind an
object cannot be seen, so such an attribute is refused by name rather than left out.
"""

import json
import types
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import PassiveEnvChecker

from app.errors import InvalidConfig

GymnasiumEnv = gymnasium.Env[Any, Any]

# Spaces are read, never sampled, by training; code and specs do not change.
_CONSTANT = (gymnasium.Space, EnvSpec, types.FunctionType, types.ModuleType, type)
_PLAIN = (bool, int, float, str, types.NoneType)


def capture_env(env: GymnasiumEnv) -> list[dict[str, Any]]:
    """Attributes of each layer, outermost wrapper first; raises InvalidConfig, naming what cannot be read."""
    return [_capture_layer(layer) for layer in _layers(env)]


def restore_env(env: GymnasiumEnv, captured: list[dict[str, Any]]) -> None:
    """Set every attribute as it was; `env` must be built and wrapped the same way, and have been reset."""
    layers = list(_layers(env))
    if len(layers) != len(captured):
        raise InvalidConfig(
            f"the saved environment had {len(captured)} layers, this one has {len(layers)}",
            hint="resume with the environment that the state was saved with",
            pointer="env",
        )
    for layer, attributes in zip(layers, captured, strict=True):
        for name, value in attributes.items():
            setattr(layer, name, _decode(value, getattr(layer, name, None)))


def _layers(env: GymnasiumEnv) -> Iterator[GymnasiumEnv]:
    while isinstance(env, gymnasium.Wrapper):
        # The checker keeps the last step's data, with which it changes nothing.
        if not isinstance(env, PassiveEnvChecker):
            yield env
        env = env.env
    yield env


def _capture_layer(layer: GymnasiumEnv) -> dict[str, Any]:
    return {
        name: _encode(value, f"{type(layer).__name__}.{name}")
        for name, value in vars(layer).items()
        if not isinstance(value, (*_CONSTANT, gymnasium.Env))
    }


def _encode(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        return {"scalar": _to_tensor(np.asarray(value), where)}
    if isinstance(value, np.ndarray):
        return {"array": _to_tensor(value, where)}
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.random.Generator):
        return {"generator": _encode_generator(value, where)}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: _encode(item, f"{where}[{key!r}]") for key, item in value.items()}}
    raise _refusal(value, where)


def _decode(value: Any, present: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    ((kind, content),) = value.items()
    if kind == "scalar":
        return content.numpy()[()]
    if kind == "array":
        return content.numpy().copy()
    if kind == "generator":
        return _decode_generator(content, present)
    if kind == "dict":
        return {key: _decode(item, None) for key, item in content.items()}
    items = [_decode(item, None) for item in content]
    return tuple(items) if kind == "tuple" else items


def _to_tensor(array: Any, where: str) -> torch.Tensor:
    try:
        return torch.tensor(array)
    except TypeError as error:  # an array of objects, say
        raise _refusal(array, where) from error


def _encode_generator(generator: np.random.Generator, where: str) -> str:
    try:
        # As text: the generator's numbers have 128 bits.
        return json.dumps(generator.bit_generator.state)
    except TypeError as error:
        raise _refusal(generator, where) from error


def _decode_generator(text: str, present: Any) -> np.random.Generator:
    state = json.loads(text)
    if isinstance(present, np.random.Generator):
        # In place: several attributes may share one generator.
        present.bit_generator.state = state
        return present
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)


def _refusal(value: Any, where: str) -> InvalidConfig:
    return InvalidConfig(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, whose state cannot be saved",
        hint="numbers, strings, NumPy arrays and generators, and lists, tuples and dicts of these; without "
        "checkpoints the environment can be trained as it is",
        pointer="env",
    )
