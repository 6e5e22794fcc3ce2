"""Every constant that enters an estimate, in one list: its value, its unit, where it comes from, and on what basis.

The values are those of the modules that reckon with them, so that what is listed is what was used.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

from app.network.disk.contents import CPU_RNG_BYTES, CUDA_RNG_BYTES
from app.network.estimate import ADAM_BYTES
from app.network.fits.cards import CARDS
from app.network.fits.limits import GRAIN
from app.network.memory.device_overhead import CPU_OVERHEADS, CUDA_OVERHEADS, MARGIN_SHARE, DeviceType
from app.network.memory.layer_walk import BFLOAT
from app.network.memory.loss_memory import CLIPPED, FIGURES
from app.network.memory.optimizer_memory import BUCKET_BYTES
from app.network.memory.rollout_memory import ACCOUNT_STATE, INDEX_BYTES, OBSERVATION_COPIES, STEP_SCALARS
from app.network.memory.rollout_walk import (
    ADVANTAGE_BYTES,
    MARKED_VALUES,
    MERGED_MOMENTS,
    RENEWED_VALUES,
    RENEWED_WINDOWS,
)
from app.network.memory.run_parts import FIGURE_BLOCKS
from app.network.memory.tape import BLOCK
from app.network.memory.update_plan import FLOAT
from app.network.memory.update_walk import ACTION_INDEX, MINIBATCH_SCALARS
from app.network.memory.window_memory import ROWS_WRITTEN
from app.network.shape import DOCUMENTED, HEAD_DIM
from app.network.tiers import A100_LARGE_FROM, HIGH_FROM, MEDIUM_FROM, TIERS

Basis = Literal["exact", "measured", "assumed"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that an estimate rests on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What it is."""
    value: int | float
    """The number."""
    unit: str
    """Its unit."""
    basis: Basis
    """`exact` by definition or by the source code of the version named; `measured` on a device or a run; `assumed`
    otherwise, on the cautious side."""
    source: str
    """Where it comes from."""


@lru_cache
def constants_for(device_type: DeviceType) -> tuple[Constant, ...]:
    """The constants of an estimate for this kind of device, the cards' memory among them."""
    overheads = CPU_OVERHEADS if device_type == "cpu" else CUDA_OVERHEADS
    return (
        *_NETWORK,
        *_UPDATE,
        *_ROLLOUT,
        *(Constant(each.name, each.bytes, "B", each.basis, each.source) for each in overheads),
        Constant("margin", MARGIN_SHARE, "of the tensors' bytes", "assumed", "against fragmentation"),
        *_TIER_RULES,
        *(Constant(f"memory of {card.name}", card.bytes, "B", card.basis, card.source) for card in CARDS),
    )


_NETWORK = (
    Constant(
        "width of a head's hidden layer",
        HEAD_DIM,
        "values",
        "exact",
        "NativeActorCritic: Linear(h, 64) in both heads",
    ),
    Constant(
        "rule of thumb",
        ADAM_BYTES,
        "B per parameter",
        "exact",
        "the project notes: fp32 weight and Adam's two moments",
    ),
    Constant(
        "state of the CPU's generator",
        CPU_RNG_BYTES,
        "B",
        "measured",
        "torch.get_rng_state(), torch 2.13; in every checkpoint",
    ),
    Constant(
        "state of a GPU's generator",
        CUDA_RNG_BYTES,
        "B",
        "measured",
        "torch.cuda.get_rng_state(), torch 2.13; in checkpoints of GPUs",
    ),
)

_UPDATE = (
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
        "kept until the update's end; one more than was counted",
    ),
    Constant(
        "gradient bucket",
        BUCKET_BYTES,
        "B",
        "exact",
        "worker/ppo/distributed.py: gradients of several processes are averaged in such parts",
    ),
    Constant("step of the minibatch search", GRAIN, "samples", "exact", "128 fp32 values fill a block"),
)

_ROLLOUT = (
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
)

_TIER_RULES = (
    Constant("high tier from", HIGH_FROM, "B", "exact", "the project notes: 40 GB, GB = 1e9"),
    Constant("medium tier from", MEDIUM_FROM, "B", "exact", "the project notes: 20 GB, GB = 1e9"),
    Constant("large A100 from", A100_LARGE_FROM, "B", "assumed", "between the notes' 40 GB and 80 GB"),
    *(
        Constant(
            f"smallest card of tier {tier.name}",
            tier.smallest_bytes,
            "B",
            "assumed",
            f"{tier.smallest_card}; jobs of the tier are checked against it",
        )
        for tier in TIERS.values()
    ),
)
