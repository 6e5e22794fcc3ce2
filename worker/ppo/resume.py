"""Whether a saved state belongs to a trainer: names and shapes compared before anything is loaded."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from app.errors import InvalidConfig

_NEEDED_ELSEWHERE = frozenset({"env", "device_rng_state"})
"""Checked by the environment itself; needed only to be exact on the same kind of device."""


def check_policy(network: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Raise InvalidConfig unless `saved` holds exactly the network's tensors."""
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    _check_shapes(own, {name: tuple(value.shape) for name, value in saved.items()}, "policy_state_dict")


def check_trainer_state(own: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raise InvalidConfig unless `saved` has the entries that this configuration's own state has."""
    _check_shapes(_tensor_shapes(own), _tensor_shapes(saved), "trainer_state")


def _tensor_shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items() if name not in _NEEDED_ELSEWHERE}


def _check_shapes(
    own: Mapping[str, tuple[int, ...]], saved: Mapping[str, tuple[int, ...]], where: str
) -> None:
    for name in [*own, *(name for name in saved if name not in own)]:
        here, there = own.get(name), saved.get(name)
        if here != there:
            raise InvalidConfig(
                f"{where}: {name} is {_say(there)} in the saved state and {_say(here)} in this trainer",
                hint="resume with the configuration and environment that the state was saved with",
                pointer=f"{where}.{name}",
            )


def _say(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {list(shape)}"
