"""The three walks of a training run, each made once for a network and asked about any batch.

Every tensor takes whole blocks of 512 bytes, as CUDA's caching allocator gives them. W is that sum over all
weights; weights and Adam's two moments, 3W, are alive all the time.
"""

from functools import lru_cache

from app.network.memory.final_walk import FinalWalk
from app.network.memory.moments import Moments
from app.network.memory.rollout_walk import RolloutPlan, RolloutWalk
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.update_plan import FLOAT, UpdatePlan
from app.network.memory.update_walk import UpdateWalk
from app.network.shape import NetworkShape, count_values

REMEMBERED = 64
"""Networks whose walks are kept."""


@lru_cache(REMEMBERED)
def update_moments(shape: NetworkShape, plan: UpdatePlan) -> Moments:
    """One optimizer step; `samples` are those of a minibatch."""
    return Moments(UpdateWalk(shape, plan).run())


@lru_cache(REMEMBERED)
def rollout_moments(shape: NetworkShape, plan: UpdatePlan, rollout: RolloutPlan) -> Moments:
    """A rollout; `samples` are its environments."""
    return Moments(RolloutWalk(shape, plan, rollout).run())


@lru_cache(REMEMBERED)
def final_moments(shape: NetworkShape, plan: UpdatePlan, rollout: RolloutPlan) -> Moments:
    """The values of truncated episodes; `samples` are as many of them as are looked at together."""
    return Moments(FinalWalk(shape, plan, rollout).run())


@lru_cache(REMEMBERED)
def weight_bytes(shape: NetworkShape) -> int:
    """W = Σ over tensors of 512·ceil(4n / 512)."""
    return sum(blocks(FLOAT * count_values(size)) for _, size in shape.tensors)


def optimizer_bytes(shape: NetworkShape) -> int:
    """Adam's two moments and step counters: fused Adam counts on the device; others on the host, for a block each there."""
    return 2 * weight_bytes(shape) + BLOCK * len(shape.tensors)
