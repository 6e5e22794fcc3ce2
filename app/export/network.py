"""NativeActorCritic.forward in numpy and float64: what every export of a policy has to compute."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from app.network.config import Activation
from app.network.disk.onnx_layout import OBS_MEAN, OBS_SCALE, OBSERVATION_CLIP
from app.network.shape import NetworkShape

Values = NDArray[np.float64]

LAYER_NORM_EPSILON = 1e-5
"""torch's default, and ONNX's."""


def evaluate_policy(
    shape: NetworkShape, activation: Activation, weights: Mapping[str, Values], observations: Values
) -> tuple[Values, Values]:
    """Policy outputs [B, A] (logits or means) and values [B] for observations [B, D].

    `weights` are by their names in the state dict, and OBS_MEAN and OBS_SCALE where observations are normalised.
    """
    seen = observations
    if OBS_MEAN in weights:
        scaled = (observations - weights[OBS_MEAN]) * weights[OBS_SCALE]
        seen = np.clip(scaled, -OBSERVATION_CLIP, OBSERVATION_CLIP)
    trunks = ("trunk", "trunk") if shape.shared_trunk else ("actor_trunk", "critic_trunk")
    latent = {name: _trunk(shape, name, activation, weights, seen) for name in dict.fromkeys(trunks)}
    policy = _head("actor", activation, weights, latent[trunks[0]])
    value = _head("critic", activation, weights, latent[trunks[1]])
    return policy, value[:, 0]


def _trunk(
    shape: NetworkShape, name: str, activation: Activation, weights: Mapping[str, Values], value: Values
) -> Values:
    stride = 3 if shape.layer_norm else 2
    for index in range(len(shape.hidden_dims)):
        value = _linear(f"{name}.{index * stride}", weights, value)
        if shape.layer_norm:
            value = _layer_norm(f"{name}.{index * stride + 1}", weights, value)
        value = ACTIVATIONS[activation](value)
    return value


def _head(name: str, activation: Activation, weights: Mapping[str, Values], value: Values) -> Values:
    return _linear(f"{name}.2", weights, ACTIVATIONS[activation](_linear(f"{name}.0", weights, value)))


def _linear(name: str, weights: Mapping[str, Values], value: Values) -> Values:
    return np.asarray(value @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _layer_norm(name: str, weights: Mapping[str, Values], value: Values) -> Values:
    centred = value - value.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
    return np.asarray(centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"])


def _silu(value: Values) -> Values:
    return np.asarray(value / (1.0 + np.exp(-np.clip(value, -700.0, None))))


def _elu(value: Values) -> Values:
    return np.asarray(np.where(value > 0, value, np.expm1(np.minimum(value, 0.0))))


ACTIVATIONS: dict[Activation, Callable[[Values], Values]] = {
    "tanh": np.tanh,
    "relu": lambda value: np.maximum(value, 0.0),
    "elu": _elu,
    "silu": _silu,
}
"""The function of each activation's name."""
