"""Processes that train together, one after the other in this one: each is told what the others share."""

import torch
from torch import Tensor

from worker.ppo.distributed import World


class Listening(World):
    """Notes what a process shares, and answers with as many copies of it as there are processes."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__(rank, size)
        object.__setattr__(self, "shared", [])

    def join(self, share: Tensor, dim: int = 0) -> Tensor:
        self.shared.append(share.clone())
        return torch.cat([share.contiguous()] * self.size, dim)


class Telling(World):
    """Answers with what was noted of each process."""

    def __init__(self, rank: int, noted: list[list[Tensor]]) -> None:
        super().__init__(rank, len(noted))
        object.__setattr__(self, "noted", [list(shares) for shares in noted])

    def join(self, share: Tensor, dim: int = 0) -> Tensor:
        shares = [of_rank.pop(0) for of_rank in self.noted]
        assert torch.equal(shares[self.rank], share)
        return torch.cat(shares, dim)
