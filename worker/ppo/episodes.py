"""Episode returns and lengths, counted on the device and read once per rollout.

Shape suffixes: T steps, N environments.
"""

from collections import deque
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from worker.ppo.distributed import World

RECENT = 100
"""How many finished episodes the reported means are over."""


class EpisodeTally:
    """Return and length so far of N running episodes, and of the last RECENT finished ones.

    The finished ones are those of all processes of the `world`.
    """

    def __init__(self, num_envs: int, device: torch.device, world: World | None = None) -> None:
        self._world = world or World()
        self._return_N = torch.zeros(num_envs, dtype=torch.float64, device=device)
        self._length_N = torch.zeros(num_envs, dtype=torch.int64, device=device)
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self.finished = 0
        """Episodes that ended in the last rollout."""

    def count(self, reward_TN: Tensor, ended_TN: Tensor) -> None:
        """Take in a rollout's raw rewards; reads the finished episodes back to the host."""
        return_TN = torch.empty(reward_TN.shape, dtype=torch.float64, device=reward_TN.device)
        length_TN = torch.empty(reward_TN.shape, dtype=torch.int64, device=reward_TN.device)
        for t in range(reward_TN.shape[0]):
            torch.add(self._return_N, reward_TN[t], out=return_TN[t])
            torch.add(self._length_N, 1, out=length_TN[t])
            self._return_N = torch.where(ended_TN[t], 0.0, return_TN[t])
            self._length_N = torch.where(ended_TN[t], 0, length_TN[t])
        return_TN, length_TN, ended_TN = (
            self._world.join(share_TN, dim=1) for share_TN in (return_TN, length_TN, ended_TN)
        )
        ended = torch.stack([return_TN[ended_TN], length_TN[ended_TN].double()]).tolist()
        self.finished = len(ended[0])
        self._recent.extend(zip(*ended, strict=True))

    @property
    def mean_return(self) -> float | None:
        """Mean undiscounted return of recent episodes; None before the first ended."""
        return sum(total for total, _ in self._recent) / len(self._recent) if self._recent else None

    @property
    def mean_length(self) -> float | None:
        """Mean number of steps of recent episodes; None before the first ended."""
        return sum(length for _, length in self._recent) / len(self._recent) if self._recent else None

    @property
    def recent(self) -> tuple[tuple[float, float], ...]:
        """Return and length of the finished episodes that the means are over, oldest first."""
        return tuple(self._recent)

    def recall(self, recent: Iterable[tuple[float, float]]) -> None:
        """Take up the means where `recent` was read."""
        self._recent = deque(recent, maxlen=RECENT)

    def state_dict(self) -> dict[str, Tensor]:
        """episode_return_N float64 and episode_length_N int64: the running episodes, not the recent ones."""
        return {"episode_return_N": self._return_N.clone(), "episode_length_N": self._length_N.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state_dict()`; the recent episodes start empty."""
        self._return_N = state["episode_return_N"].to(self._return_N)
        self._length_N = state["episode_length_N"].to(self._length_N)
        self._recent.clear()
