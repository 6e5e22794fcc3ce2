"""What the network is given of an observation: the observation itself, or its first layer's outputs.

Shape suffixes: B samples, D obs_dim.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from worker.ppo.distributed import World
from worker.ppo.env import BatchedEnv, ObservationParts
from worker.ppo.network import Observed
from worker.ppo.normalisation import ObservationNormalizer
from worker.ppo.rollout import RolloutBuffer


class Observer(Protocol):
    """Turns observation parts into what the network reads."""

    def begin_rollout(self) -> None:
        """To be called before the first step, and after the weights have changed."""
        ...

    def begin_learning(self, buffer: RolloutBuffer) -> None:
        """To be called once the buffer is full, before its minibatches are read."""
        ...

    def for_acting(self, parts: ObservationParts) -> Observed:
        """What the environments see now; each step once."""
        ...

    def for_values(self, parts: ObservationParts) -> Observed:
        """Any other observations of the rollout."""
        ...

    def for_learning(self, parts: ObservationParts) -> Observed:
        """A minibatch's observations; gradients of the first layer flow through."""
        ...

    def normalise(self, obs_BD: Tensor) -> Tensor:
        """Observations [B, D] as the network is to see them."""
        ...

    def commit(self) -> None:
        """Move the observation statistics; to be called once the rollout's update is over."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Observation statistics, where there are any."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`; further keys are ignored."""
        ...


class MaterialisingObserver:
    """Gives the network whole observations, normalised where the configuration says so."""

    def __init__(self, env: BatchedEnv, *, norm_obs: bool, world: World | None = None) -> None:
        self._env = env
        self._normalizer = ObservationNormalizer(env.obs_dim, env.device, world) if norm_obs else None

    def begin_rollout(self) -> None:
        """Nothing is computed ahead."""

    def begin_learning(self, buffer: RolloutBuffer) -> None:
        """Nothing is shared among minibatches."""

    def for_acting(self, parts: ObservationParts) -> Tensor:
        """Observations, of which the statistics take note."""
        obs_BD = self._env.materialise(parts)
        if self._normalizer is not None:
            self._normalizer.gather(obs_BD)
        return self.normalise(obs_BD)

    def for_values(self, parts: ObservationParts) -> Tensor:
        """Observations, normalised."""
        return self.normalise(self._env.materialise(parts))

    def for_learning(self, parts: ObservationParts) -> Tensor:
        """Observations, normalised."""
        return self.for_values(parts)

    def normalise(self, obs_BD: Tensor) -> Tensor:
        """As the statistics stand."""
        return obs_BD if self._normalizer is None else self._normalizer(obs_BD)

    def commit(self) -> None:
        """Take the rollout's observations into the statistics."""
        if self._normalizer is not None:
            self._normalizer.commit()

    def state_dict(self) -> dict[str, Tensor]:
        """obs_mean, obs_var and obs_count, or nothing."""
        return {} if self._normalizer is None else self._normalizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        if self._normalizer is not None:
            self._normalizer.load_state_dict(state)
