"""Running statistics that bring observations and rewards to unit scale.

Shape suffixes: T steps, N environments, B samples, D obs_dim. Statistics are float64: counts pass 2^24,
where float32 stops counting.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from worker.ppo.distributed import World

CLIP = 10.0
"""Normalised observations and rewards are held within ±CLIP."""

_EPSILON = 1e-8


class RunningMoments:
    """Mean, population variance and count of all samples seen, merged batch by batch.

    The parallel formula of Chan, Golub & LeVeque (1979). Before the first sample: mean 0, variance 1.
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self.mean = torch.zeros(shape, dtype=torch.float64, device=device)
        self.var = torch.ones(shape, dtype=torch.float64, device=device)
        self.count = torch.zeros((), dtype=torch.float64, device=device)

    def update(self, samples: Tensor) -> None:
        """Take samples [B, *shape] in."""
        self.merge(*_measure(samples.double()))

    def merge_together(self, share: tuple[Tensor, Tensor, Tensor], world: World) -> None:
        """Take in mean, variance and count of every process's samples, one process after the other."""
        for moments in zip(*(world.join(part.unsqueeze(0)) for part in share), strict=True):
            self.merge(*moments)

    def merge(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        """Take in the moments of `count` > 0 other samples."""
        total = self.count + count
        delta = mean - self.mean
        squares = self.var * self.count + var * count + delta.square() * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.var = squares / total
        self.count = total

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """`{prefix}_mean`, `{prefix}_var` and `{prefix}_count`."""
        moments = {"mean": self.mean, "var": self.var, "count": self.count}
        return {f"{prefix}_{name}": value.clone() for name, value in moments.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], prefix: str) -> None:
        """Continue from `state_dict(prefix)`."""
        for name, own in (("mean", self.mean), ("var", self.var), ("count", self.count)):
            own.copy_(state[f"{prefix}_{name}"])


class ObservationNormalizer:
    """(obs - mean) / std, held within ±CLIP, with statistics that stand still within an update.

    What a rollout sees is gathered aside and taken in by `commit` once its update is over: were the
    statistics to move in between, the probability ratio would start away from 1. The first rollout
    therefore sees plain observations. Processes of one `world` keep the same statistics, of what all saw.
    """

    def __init__(self, obs_dim: int, device: torch.device, world: World | None = None) -> None:
        self._world = world or World()
        self._moments = RunningMoments((obs_dim,), device)
        self._gathered = RunningMoments((obs_dim,), device)
        self._refresh()

    def __call__(self, obs_BD: Tensor) -> Tensor:
        """Normalise; the statistics stay as they are."""
        return ((obs_BD - self._mean_D) * self._scale_D).clamp_(-CLIP, CLIP)

    def gather(self, obs_BD: Tensor) -> None:
        """Note raw observations for the next `commit`."""
        self._gathered.update(obs_BD)

    def commit(self) -> None:
        """Take in what was gathered since the last commit."""
        gathered = self._gathered
        self._moments.merge_together((gathered.mean, gathered.var, gathered.count), self._world)
        self._gathered = RunningMoments(tuple(gathered.mean.shape), gathered.mean.device)
        self._refresh()

    def state_dict(self) -> dict[str, Tensor]:
        """obs_mean, obs_var [D] and obs_count, float64; complete between two updates."""
        return self._moments.state_dict("obs")

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state_dict()`."""
        self._moments.load_state_dict(state, "obs")
        self._refresh()

    def _refresh(self) -> None:
        self._mean_D = self._moments.mean.float()
        self._scale_D = (self._moments.var + _EPSILON).rsqrt().float()


class RewardScaler:
    """Rewards divided by the deviation of the discounted return, held within ±CLIP.

    The return of each environment starts at 0 with each episode. A rollout's rewards are all divided
    by the same number, which has seen that rollout, in all processes of the `world`. Rewards are not
    centred: that would change the task.
    """

    def __init__(self, num_envs: int, gamma: float, device: torch.device, world: World | None = None) -> None:
        self._world = world or World()
        self._gamma = gamma
        self._moments = RunningMoments((), device)
        self._return_N = torch.zeros(num_envs, dtype=torch.float64, device=device)

    def scale(self, reward_TN: Tensor, ended_TN: Tensor) -> Tensor:
        """Take a rollout's rewards in and return them scaled; `ended_TN` marks each episode's last step."""
        # Moments are exchanged, not returns: those of all processes would take as much more as there are of these.
        self._moments.merge_together(_measure(self._discount(reward_TN, ended_TN).flatten()), self._world)
        return (reward_TN * (self._moments.var + _EPSILON).rsqrt()).clamp_(-CLIP, CLIP).to(reward_TN.dtype)

    def _discount(self, reward_TN: Tensor, ended_TN: Tensor) -> Tensor:
        """The discounted return of each environment's episode up to every step, float64 [T, N]."""
        return_TN = torch.empty(reward_TN.shape, dtype=torch.float64, device=reward_TN.device)
        for t in range(reward_TN.shape[0]):
            self._return_N = self._return_N * self._gamma + reward_TN[t]
            return_TN[t] = self._return_N
            # After the reward of the last step was counted, not before: else it leaks into the next episode.
            self._return_N = torch.where(ended_TN[t], 0.0, self._return_N)
        return return_TN

    def state_dict(self) -> dict[str, Tensor]:
        """return_N [N], return_mean, return_var and return_count, float64."""
        return {"return_N": self._return_N.clone(), **self._moments.state_dict("return")}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state_dict()`."""
        self._return_N.copy_(state["return_N"])
        self._moments.load_state_dict(state, "return")


def _measure(wide: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, population variance and count of float64 samples [B, *shape]."""
    var, mean = torch.var_mean(wide, dim=0, correction=0)
    return mean, var, var.new_full((), wide.shape[0])
