"""What comes after backward: gradients averaged over processes, their norm, and Adam's step."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from app.network.memory.tape import BLOCK, FIXED, NORMS, STEP, Tape, blocks, fixed
from app.network.memory.update_plan import FLOAT, AdamKind, UpdatePlan
from app.network.shape import NetworkShape, count_values

BUCKET_BYTES = 25 * 2**20
"""Gradients are averaged in buckets of about this size (worker/ppo/distributed.py)."""


def step_optimizer(tape: Tape, shape: NetworkShape, plan: UpdatePlan) -> None:
    """Walk the moments from the last gradient to the end of the step."""
    sizes = [FLOAT * count_values(size) for _, size in shape.tensors]
    if plan.processes > 1:
        tape.pass_by("gradients averaged", NORMS, (FIXED, _two_buckets(sizes)))
    # Each gradient's norm, their stack and its norm.
    tape.pass_by("gradient norm", NORMS, fixed(BLOCK * len(sizes), FLOAT * len(sizes), BLOCK))
    tape.make(NORMS, fixed(BLOCK))
    tape.pass_by(f"optimizer step ({plan.adam})", STEP, (FIXED, _adam_temporaries(sizes, plan.adam)))


def _two_buckets(sizes: Sequence[int]) -> int:
    """The largest two neighbours: a bucket is let go of only when the next one is filled."""
    filled = [0, *(blocks(size) for size in _buckets(sizes))]
    return max(before + now for before, now in pairwise(filled))


def _buckets(sizes: Sequence[int]) -> Iterator[int]:
    held = 0
    for size in sizes:
        if held and held + size > BUCKET_BYTES:
            yield held
            held = 0
        held += size
    yield held


def _adam_temporaries(sizes: Sequence[int], adam: AdamKind) -> int:
    """foreach: a root of each second moment; for-loop: two of one tensor beside the one before it."""
    if adam == "fused":
        return 0
    whole = [blocks(size) for size in sizes]
    return sum(whole) if adam == "foreach" else max(before + 2 * now for before, now in pairwise([0, *whole]))
