"""Any Gymnasium environment as a BatchedEnv.

Shape suffixes: N environments, B samples, D obs_dim.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FlattenObservation
from torch import Tensor

from app.errors import InvalidConfig
from app.network.shape import ActionKind
from worker.ppo.env import EnvStep, ObservationParts
from worker.ppo.gymnasium_state import capture_env, restore_env

ActionScaling = Literal["clip", "rescale"]
GymnasiumEnv = gymnasium.Env[Any, Any]

_PART = "observation"


class GymnasiumBatch:
    """N copies of one Gymnasium environment, stepped in turn.

    `env` is a registered id or a factory. Ended environments are reset within the same step, so that every
    step is a real transition. Observations are flattened (uint8 stays uint8 until materialised).

    A Gaussian policy's actions are unbounded; `action_scaling` brings them into a Box: "clip" cuts them
    off at its bounds (as CleanRL and stable-baselines3 do), "rescale" maps [-1, 1] linearly onto it.

    Raises InvalidConfig for an action space that is neither Discrete nor Box, and for an observation space
    that has no fixed size.
    """

    def __init__(
        self,
        env: str | Callable[[], GymnasiumEnv],
        num_envs: int,
        *,
        action_scaling: ActionScaling = "clip",
        device: torch.device | str = "cpu",
    ) -> None:
        # SAME_STEP: the default would insert a step after each end that ignores its action.
        self._vector = SyncVectorEnv(
            [lambda: _make(env)] * num_envs, copy=False, autoreset_mode=AutoresetMode.SAME_STEP
        )
        self.num_envs = num_envs
        self.device = torch.device(device)
        self._parts: ObservationParts = {}
        self.obs_dim = int(np.prod(self._vector.single_observation_space.shape or ()))
        self.action_kind: ActionKind
        self.action_dim: int
        self.action_kind, self.action_dim, self._to_native = _read_actions(
            self._vector.single_action_space, action_scaling
        )
        pixels = self._vector.single_observation_space.dtype == np.uint8
        self._dtype = torch.uint8 if pixels else torch.float32

    def reset(self, seed: int | None = None) -> ObservationParts:
        """Start all environments anew, environment i with seed + i."""
        obs, _ = self._vector.reset(seed=seed)
        self._parts = self._to_parts(obs)
        return self._parts

    def observe(self) -> ObservationParts:
        """The present observation; `reset` must have been called."""
        return self._parts

    def step(self, actions: Tensor) -> EnvStep:
        """Take one action in each environment; ended ones are reset."""
        obs, reward, terminated, truncated, infos = self._vector.step(self._to_native(actions))
        self._parts = self._to_parts(obs)
        ended = terminated | truncated
        final_parts = self._final_parts(obs, infos, ended) if ended.any() else self._parts
        return EnvStep(
            parts=self._parts,
            reward_N=torch.tensor(reward, dtype=torch.float32, device=self.device),
            terminated_N=torch.tensor(terminated, device=self.device),
            truncated_N=torch.tensor(truncated, device=self.device),
            final_parts=final_parts,
        )

    def materialise(self, parts: ObservationParts) -> Tensor:
        """The observations themselves, float32 [B, D]."""
        return parts[_PART].float()

    def state_dict(self) -> dict[str, Any]:
        """State and random generator of each environment.

        Raises InvalidConfig, naming the attribute, for an environment that holds more than numbers, arrays
        and generators (a physics engine, say): such a one can be trained, but not resumed exactly.
        """
        return {"envs": [capture_env(env) for env in self._vector.envs], **self._parts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._vector.reset(seed=0)  # so that attributes exist which only reset() creates
        for env, captured in zip(self._vector.envs, state["envs"], strict=True):
            restore_env(env, captured)
        self._parts = {_PART: state[_PART].to(self.device)}

    def close(self) -> None:
        """Release what the environments hold."""
        self._vector.close()

    def _to_parts(self, obs: Any) -> ObservationParts:
        return {_PART: torch.tensor(obs, dtype=self._dtype, device=self.device)}

    def _final_parts(self, obs: Any, infos: dict[str, Any], ended: Any) -> ObservationParts:
        final = obs.copy()
        for n in np.flatnonzero(ended):
            final[n] = infos["final_obs"][n]
        return self._to_parts(final)


def _make(env: str | Callable[[], GymnasiumEnv]) -> GymnasiumEnv:
    made = gymnasium.make(env, disable_env_checker=True) if isinstance(env, str) else env()
    space = made.observation_space
    if not space.is_np_flattenable:
        raise InvalidConfig(
            f"the environment's observation space is {space}, which is no vector of one length",
            hint="a Box, Discrete, MultiDiscrete or MultiBinary, or a Dict or Tuple of these",
            pointer="env",
        )
    flat = isinstance(space, spaces.Box) and len(space.shape) == 1
    return made if flat else FlattenObservation(made)


def _read_actions(
    space: gymnasium.Space[Any], scaling: ActionScaling
) -> tuple[ActionKind, int, Callable[[Tensor], Any]]:
    """The policy's kind of action, its size, and the way from its actions to the environment's."""
    if isinstance(space, spaces.Discrete):
        return "discrete", int(space.n), lambda actions: actions.cpu().numpy() + space.start
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        _check_bounds(space, scaling)
        to_box = _clip if scaling == "clip" else _rescale
        return "gaussian", int(np.prod(space.shape)), lambda actions: to_box(_as_box(actions, space), space)
    raise InvalidConfig(
        f"the environment's action space is {space}", hint="a Discrete or a floating-point Box", pointer="env"
    )


def _check_bounds(space: spaces.Box, scaling: ActionScaling) -> None:
    if scaling == "rescale" and not space.is_bounded():
        raise InvalidConfig(
            f"actions cannot be rescaled onto {space}, which is unbounded",
            hint="action_scaling='clip'",
            pointer="action_scaling",
        )


def _as_box(actions: Tensor, space: spaces.Box) -> Any:
    return actions.cpu().numpy().reshape(-1, *space.shape).astype(space.dtype)


def _clip(actions: Any, space: spaces.Box) -> Any:
    return np.clip(actions, space.low, space.high)


def _rescale(actions: Any, space: spaces.Box) -> Any:
    unit = (np.clip(actions, -1, 1) + 1) / 2
    return space.low + unit * (space.high - space.low)
