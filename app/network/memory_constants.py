"""Constants of the memory of a run: of an update, of its loss, of a rollout, of the first layer over windows."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from app.network.constant import Basis, Constant
from app.network.first_layer import (
    BLOCKS,
    CHUNK_BYTES,
    CONVOLUTION_GAINS,
    DRAWN_ENVS,
    NARROWEST_CHUNK,
    RATES,
    TABLE_BYTES,
)
from app.network.memory import loss_memory
from app.network.memory.job_memory import (
    BAR_BYTES,
    JUDGING_BYTES,
    JUDGING_FIXED,
    LANE_BYTES,
    MAKING_BYTES,
    NORMALISED,
    RECORDED_BYTES,
    REPLAYED_BARS,
    REPLAYED_BYTES,
)
from app.network.memory.layer_walk import BFLOAT
from app.network.memory.loss_memory import CLIPPED, FIGURES
from app.network.memory.optimizer_memory import BUCKET_BYTES
from app.network.memory.rollout_memory import (
    ACCOUNT_STATE,
    INDEX_BYTES,
    OBSERVATION_COPIES,
    STEP_SCALARS,
    STORED_STATE,
)
from app.network.memory.rollout_walk import (
    ACCOUNT_FEATURES,
    ADVANTAGE_BYTES,
    MARKED_FLAGS,
    MARKED_VALUES,
    MERGED_COUNTS,
    MERGED_MOMENTS,
    RENEWED_FLAGS,
    RENEWED_VALUES,
    RENEWED_WINDOWS,
    VALUE,
)
from app.network.memory.run_parts import FIGURE_BLOCKS
from app.network.memory.tape import BLOCK
from app.network.memory.update_plan import FLOAT
from app.network.memory.update_walk import ACTION_INDEX, MINIBATCH_SCALARS
from app.network.memory.window_memory import CONVOLUTION_TENSORS, ROWS_WRITTEN

PARTLY_FILLED = 8
"""Blocks that rollout_memory.py adds to an environment's memory."""

COUNTED = "worker/trading/{}, counted under a tracker, torch 2.13"

UPDATE = (
    Constant("an fp32 value", FLOAT, "B", "exact", "IEEE 754 binary32"),
    Constant("a bf16 value", BFLOAT, "B", "exact", "bfloat16; autocast's copies"),
    Constant(
        "allocator block",
        BLOCK,
        "B",
        "exact",
        "c10/cuda/CUDACachingAllocator, kMinBlockSize: every tensor takes whole blocks",
    ),
    Constant(
        "a minibatch's sample",
        sum(MINIBATCH_SCALARS),
        "B",
        "exact",
        "worker/ppo: log probability, old value, advantage, return",
    ),
    Constant(
        "a discrete action",
        ACTION_INDEX,
        "B",
        "exact",
        "torch.int64, as torch.distributions.Categorical takes it",
    ),
    Constant(
        "the loss's figures",
        FIGURES,
        "blocks",
        "measured",
        "operations of the trainer's loss counted under a tracker, torch 2.13",
    ),
    Constant(
        "tensors that clip_vloss adds",
        CLIPPED,
        "values per sample",
        "measured",
        "operations of the trainer's loss counted under a tracker, torch 2.13",
    ),
    Constant(
        "figures of an optimizer step",
        FIGURE_BLOCKS,
        "blocks",
        "measured",
        "kept until the update's end; counted under a tracker, torch 2.13",
    ),
    Constant(
        "gradient bucket",
        BUCKET_BYTES,
        "B",
        "exact",
        "worker/ppo/distributed.py: gradients of several processes are averaged in such parts",
    ),
)

RESIDENT = "a process's resident size, 2 vCPU AMD EPYC; benchmarks/job_process.py"

JOB = (
    Constant("a bar while a market is made on a CPU", MAKING_BYTES, "B", "measured", RESIDENT),
    Constant("a bar as it was read", BAR_BYTES, "B", "exact", "app/market/bars.py: six columns and stamps"),
    Constant("a bar while the policy is judged on a CPU", JUDGING_BYTES, "B", "measured", RESIDENT),
    Constant("judging the policy on a CPU, beside", JUDGING_FIXED, "B", "measured", RESIDENT),
    Constant(
        "records of a walk on a card", RECORDED_BYTES, "B", "exact", "worker/trading/lanes.py, BLOCK_BYTES"
    ),
    Constant("a decision that is replayed", REPLAYED_BYTES, "B", "measured", COUNTED.format("lanes.py")),
    Constant(
        "decisions replayed at once", REPLAYED_BARS, "", "exact", "worker/trading/lanes.py, REPLAY_BARS"
    ),
    Constant("a lane's account and heads", LANE_BYTES, "B", "measured", COUNTED.format("lanes.py")),
    Constant(
        "copies of an observation that is normalised",
        NORMALISED,
        "",
        "measured",
        COUNTED.format("lanes.py"),
    ),
)

ROLLOUT = (
    Constant(
        "a stored step's scalars",
        sum(STEP_SCALARS),
        "B",
        "exact",
        "worker/ppo: log probability, values, reward, advantage, return, two flags",
    ),
    Constant(
        "copies of a stored observation",
        OBSERVATION_COPIES,
        "",
        "exact",
        "worker/ppo: the step's, and that of the episode's end",
    ),
    Constant("an index", INDEX_BYTES, "B", "exact", "torch.int64: a row's or a sample's number"),
    Constant(
        "values of an environment",
        ACCOUNT_STATE,
        "of 8 B",
        "measured",
        "worker/trading: what lasts, counted under a tracker, torch 2.13",
    ),
    Constant(
        "values of a step that is marked to prices",
        MARKED_VALUES,
        "of 8 B",
        "measured",
        "worker/trading/account.py, counted under a tracker, torch 2.13",
    ),
    Constant(
        "values while episodes begin anew",
        RENEWED_VALUES,
        "of 8 B",
        "measured",
        "worker/trading/env.py, counted under a tracker, torch 2.13",
    ),
    Constant(
        "account windows while episodes begin anew",
        RENEWED_WINDOWS,
        "",
        "measured",
        "beside the one before the step: after it, and with ended episodes begun anew",
    ),
    Constant(
        "moments in work while observations are counted",
        MERGED_MOMENTS,
        "of 8 B per column",
        "measured",
        "worker/ppo/normalisation.py, counted under a tracker, torch 2.13",
    ),
    Constant(
        "a step's advantage in work",
        ADVANTAGE_BYTES,
        "B",
        "measured",
        "returns, scaled rewards and advantages of a rollout",
    ),
    Constant(
        "windows of a table written at once", ROWS_WRITTEN, "rows", "exact", "worker/ppo/window_source.py"
    ),
    Constant("a value of an account", VALUE, "B", "exact", "float64 or int64"),
    Constant(
        "values of an environment of one's own",
        STORED_STATE,
        "of 8 B",
        "assumed",
        "rewards, ends, episodes' returns and ages",
    ),
    Constant("account features in work", ACCOUNT_FEATURES, "of 8 B", "exact", "app/market/schema.py"),
    Constant(
        "blocks of an environment that are filled in part",
        PARTLY_FILLED,
        "blocks",
        "assumed",
        "app/network/memory/rollout_memory.py: tensors of one size whatever the number of environments",
    ),
    Constant(
        "flags of a step that is marked to prices",
        MARKED_FLAGS,
        "B",
        "measured",
        COUNTED.format("account.py"),
    ),
    Constant("flags while episodes begin anew", RENEWED_FLAGS, "B", "measured", COUNTED.format("env.py")),
    Constant(
        "single values while observations are counted",
        MERGED_COUNTS,
        "of 8 B",
        "measured",
        "worker/ppo/normalisation.py, counted under a tracker, torch 2.13",
    ),
)

_UNITS = {
    "values": "blocks",
    "flags": "[B] of 1 B",
    "action_flags": "[B, A] of 1 B",
    "per_action": "[B, A]",
    "per_sample": "[B]",
}

_WHAT = {
    "values": ": single values",
    "flags": ": flags",
    "action_flags": ": flags by action",
    "per_action": ": by action",
    "per_sample": ": by sample",
}

_LOSS_MOMENTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "forward": loss_memory.FORWARD,
    "kept for backward": {kind: (counts,) for kind, counts in loss_memory.SAVED.items()},
    "backward": loss_memory.BACKWARD,
}


def loss_constants() -> Iterator[Constant]:
    """What the loss holds at its fullest moments, by kind of action."""
    source = "the trainer's loss under a tracker, torch 2.13"
    for phase, by_kind in _LOSS_MOMENTS.items():
        for kind, moments in by_kind.items():
            for place, counts in enumerate(moments, 1):
                where = f"loss {phase} {place}, {kind}"
                for field, count in asdict(counts).items():
                    if count:
                        yield Constant(where + _WHAT[field], count, _UNITS[field], "measured", source)


def window_constants() -> Iterator[Constant]:
    """By what the first layer's way is chosen, and what it keeps."""
    units = {"product": "FLOP/s", "transform": "FLOP/s", "copy": "B/s", "call": "s"}
    for device, rates in RATES.items():
        basis, source = _RATED[device]
        for name, unit in units.items():
            yield Constant(f"first layer: {name}, {device}", getattr(rates, name), unit, basis, source)
        yield Constant(f"spectra in work at once, {device}", CHUNK_BYTES[device], "B", basis, source)
    yield from _WINDOWS


_RATED: dict[str, tuple[Basis, str]] = {
    "cpu": ("measured", "2 vCPU AMD EPYC (docs/decisions/0014)"),
    "cuda": ("assumed", "half of an H200's data sheet"),
}

_WINDOWS = (
    Constant(
        "part of the others' time that a convolution may promise at most",
        CONVOLUTION_GAINS,
        "share",
        "measured",
        "held against the clock on 2 vCPU AMD EPYC (docs/decisions/0014)",
    ),
    Constant("most windows of a table", TABLE_BYTES, "B", "assumed", "larger tables are not tried"),
    Constant("fewest outputs at a time", NARROWEST_CHUNK, "outputs", "assumed", "worker/ppo/convolution.py"),
    Constant("shortest block of a convolution", BLOCKS[0], "rows", "assumed", "shorter ones are not tried"),
    Constant("longest block of a convolution", BLOCKS[-1], "rows", "assumed", "longer ones are not tried"),
    Constant(
        "environments drawn", DRAWN_ENVS, "", "assumed", "how far the rows of more overlap follows from these"
    ),
    Constant(
        "tensors that a convolution keeps",
        CONVOLUTION_TENSORS,
        "blocks",
        "assumed",
        "each may fill its last block only in part",
    ),
)
