"""Windows that slide by one row each step, stored row by row and built again where they are used.

An account window of 100 steps of 5 features takes 2,000 bytes a step, its new row 20.

Shape suffixes: T steps, N environments, L rows of a window, K values of a row, B samples.
"""

import torch
from torch import Tensor

from worker.ppo.device import waits_for_reads


class SlidingWindows:
    """The windows of T steps of N environments; a window is all 0 where an episode begins.

    Equal bit by bit to the windows that the environment gave.
    """

    def __init__(self, window_NLK: Tensor, num_steps: int) -> None:
        self._envs, self._length, self._width = window_NLK.shape
        rows = self._length + num_steps
        self._rows = window_NLK.new_zeros((self._envs, rows, self._width))
        # The row from which on an environment's present episode counts: before it, all rows are seen as 0.
        size, device = (num_steps + 1, self._envs), window_NLK.device
        self._opened = torch.zeros(size, dtype=torch.int64, device=device)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._rows.nbytes + self._opened.nbytes

    def begin(self, window_NLK: Tensor) -> None:
        """Take the windows that the first step saw."""
        self._rows[:, : self._length] = window_NLK
        self._opened[0].zero_()

    def append(self, t: int, final_NLK: Tensor, ended_N: Tensor) -> None:
        """Take what step `t` added, and note where it ended an episode."""
        self._rows[:, self._length + t] = final_NLK[:, -1]
        self._opened[t + 1] = torch.where(ended_N, self._length + t + 1, self._opened[t])

    def windows(self, samples: Tensor) -> Tensor:
        """The windows [B, L, K] seen at these samples, numbered time-major: b = t·N + n."""
        return self._build(samples, ahead=0)

    def final_windows(self, samples: Tensor) -> Tensor:
        """The windows [B, L, K] after these samples' steps, before any new episode."""
        return self._build(samples, ahead=1)

    def _build(self, samples: Tensor, ahead: int) -> Tensor:
        step_B, env_B = samples // self._envs, samples % self._envs
        first_B = step_B + ahead
        size = (self._envs * self._rows.shape[1] - self._length + 1, self._length * self._width)
        view = self._rows.as_strided(size, (self._width, 1))
        windows_BLK = view.index_select(0, env_B * self._rows.shape[1] + first_B).view(
            -1, self._length, self._width
        )
        blank_B = self._opened.flatten().index_select(0, samples) - first_B
        return _blank(windows_BLK, blank_B)


def _blank(windows_BLK: Tensor, blank_B: Tensor) -> Tensor:
    """Set the oldest blank_B rows of each window to 0, in place."""
    rows_L1 = torch.arange(windows_BLK.shape[1], device=windows_BLK.device)[:, None]
    if waits_for_reads(windows_BLK.device):
        return windows_BLK.masked_fill_(rows_L1 < blank_B[:, None, None], 0.0)
    # On a CPU the few that an episode's beginning cuts are cheaper to find than all are to write.
    cut = (blank_B > 0).nonzero().squeeze(-1)
    if len(cut):
        windows_BLK[cut] = windows_BLK[cut].masked_fill_(rows_L1 < blank_B[cut, None, None], 0.0)
    return windows_BLK
