"""Several processes that train one policy together, one device each; in a single process all is a no-op.

Started by torchrun, joined by `torch.distributed.init_process_group`. Every process holds the whole network
and its own share of the environments; what is normalised, averaged or decided is that of all shares together.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, distributed

from app.errors import InvalidConfig
from worker.ppo.config import PPOConfig
from worker.ppo.oom_retry import copy_to_host

BUCKET_BYTES = 25 * 2**20
"""Gradients are averaged in buckets of about this size: few calls, and little memory for the copies."""


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among those that train together.

    All methods but the properties are collective where `size` > 1: every process must call them, in the same
    order and with tensors of equal shapes.
    """

    rank: int = 0
    """This process's number, 0 to size - 1."""
    size: int = 1
    """Number of processes."""

    @classmethod
    def find(cls) -> Self:
        """The initialised default process group, or one process alone."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    def share(self, config: PPOConfig) -> PPOConfig:
        """The configuration of one process's share: num_envs / size environments.

        Raises InvalidConfig where environments or minibatches cannot be shared equally, or where
        `oom_retry` is on: the processes that still have memory would wait for the one that starts over.
        """
        if self.size == 1:
            return config
        if config.num_envs % self.size:
            raise _indivisible("num_envs", f"num_envs={config.num_envs}", self.size)
        share = replace(config, num_envs=config.num_envs // self.size)
        if share.batch_size % share.num_minibatches:
            what = f"a minibatch of {config.minibatch_size} samples"
            raise _indivisible("num_minibatches", what, self.size)
        if config.oom_retry:
            raise InvalidConfig(
                f"oom_retry is on, and {self.size} processes train together",
                hint="oom_retry=False, and num_minibatches large enough for every process's device",
                pointer="oom_retry",
            )
        return share

    def sampling_seed(self, seed: int) -> int:
        """Seed of this process's sampling and shuffling; the first process's is `seed` itself.

        The others' are mixed from seed and rank: with a sum, neighbouring seeds' runs would share numbers.
        """
        if self.rank == 0:
            return seed
        return int(np.random.SeedSequence((seed, self.rank)).generate_state(1, np.uint64)[0] >> 1)

    def env_seed(self, seed: int, num_envs: int) -> int:
        """Seed of this process's environments, `num_envs` each: as if they were numbered through."""
        return seed + self.rank * num_envs

    def join(self, share: Tensor, dim: int = 0) -> Tensor:
        """All processes' shares, concatenated along `dim` in the order of ranks."""
        if self.size == 1:
            return share
        share = share.contiguous()
        shares = [torch.empty_like(share) for _ in range(self.size)]
        distributed.all_gather(shares, share)
        return torch.cat(shares, dim)

    def own(self, joined: Tensor, dim: int = 0) -> Tensor:
        """This process's share of what `join` gave."""
        return joined.chunk(self.size, dim)[self.rank]

    def mean(self, share: Tensor) -> Tensor:
        """The processes' mean, the same bits in each of them."""
        if self.size == 1:
            return share
        return self.join(share.unsqueeze(0)).mean(0)

    def variance(self, share: Tensor) -> Tensor:
        """Population variance of all processes' values, of which each has equally many."""
        var, mean = torch.var_mean(share, correction=0)
        if self.size == 1:
            return var
        # Moments are exchanged, not values: those of all processes could be more than one has memory for.
        moments_2P = self.join(torch.stack([var, mean]).unsqueeze(1), dim=1)
        return moments_2P[0].mean() + moments_2P[1].var(correction=0)

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by the processes' mean."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for bucket in fill_buckets(gradients, BUCKET_BYTES):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            distributed.all_reduce(flat)
            flat.div_(self.size)
            for gradient, mean in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
                gradient.copy_(mean.view_as(gradient))

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite these tensors with the first process's."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def gather_states(self, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every process's state, tensors brought to the CPU; by rank."""
        if self.size == 1:
            return [dict(state)]
        # A CUDA tensor would arrive on the card it was sent from, which is another process's.
        states: list[Any] = [None] * self.size
        distributed.all_gather_object(states, copy_to_host(state))
        return states

    def any(self, *, wanted: bool) -> bool:
        """Whether any process wants something, to stop for instance; all get the same answer."""
        if self.size == 1:
            return wanted
        answers: list[Any] = [None] * self.size
        distributed.all_gather_object(answers, wanted)
        return any(answers)


def fill_buckets(tensors: Iterable[Tensor], limit: int) -> Iterator[list[Tensor]]:
    """Tensors in order, as many at once as stay within `limit` bytes; a larger one comes alone."""
    bucket: list[Tensor] = []
    held = 0
    for tensor in tensors:
        if bucket and held + tensor.nbytes > limit:
            yield bucket
            bucket, held = [], 0
        bucket.append(tensor)
        held += tensor.nbytes
    if bucket:
        yield bucket


def _indivisible(pointer: str, what: str, size: int) -> InvalidConfig:
    return InvalidConfig(
        f"{what} cannot be shared equally by {size} processes",
        hint="num_envs is the total over all processes and must be a multiple of their number, and so must "
        "the samples of a minibatch",
        pointer=pointer,
    )
