"""Episode returns and lengths, counted on the device and read once per rollout.

Shape suffixes: T steps, N environments, K finished episodes, R the last of these.
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
        """Take in a rollout's raw rewards; reads the last finished episodes back to the host.

        Of each process only the last RECENT are looked at: no more can be among the last RECENT of all.
        """
        # Before there are sums: were every step an episode's last, the places would take as much as these.
        finished, place_R = _find_last(ended_TN)
        told_R = torch.full((4, RECENT), -1.0, dtype=torch.float64, device=reward_TN.device)
        told_R[0] = finished
        told_R[1, : len(place_R)] = place_R // reward_TN.shape[1]
        for row, sums_TN in enumerate(self._sum_up(reward_TN, ended_TN), start=2):
            told_R[row, : len(place_R)] = sums_TN.view(-1)[place_R]
        counts, *columns = self._world.join(told_R, dim=1).tolist()
        self.finished = int(sum(counts[::RECENT]))
        # In the order of steps, then of processes, then of environments: sorting leaves equal ones as they are.
        told = sorted(zip(*columns, strict=True), key=lambda episode: episode[0])
        self._recent.extend((total, length) for step, total, length in told if step >= 0)

    def _sum_up(self, reward_TN: Tensor, ended_TN: Tensor) -> tuple[Tensor, Tensor]:
        """Return and length of each episode up to every step."""
        return_TN = torch.empty(reward_TN.shape, dtype=torch.float64, device=reward_TN.device)
        length_TN = torch.empty(reward_TN.shape, dtype=torch.int64, device=reward_TN.device)
        for t in range(reward_TN.shape[0]):
            torch.add(self._return_N, reward_TN[t], out=return_TN[t])
            torch.add(self._length_N, 1, out=length_TN[t])
            self._return_N = torch.where(ended_TN[t], 0.0, return_TN[t])
            self._length_N = torch.where(ended_TN[t], 0, length_TN[t])
        return return_TN, length_TN

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


def _find_last(ended_TN: Tensor) -> tuple[int, Tensor]:
    """How many episodes ended, and the places t·N + n of the last RECENT of them."""
    place_K = ended_TN.flatten().nonzero().squeeze(-1)
    return len(place_K), place_K[-RECENT:].clone()
