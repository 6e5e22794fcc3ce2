"""What a job needs before and after its updates: to make the market of its bars, and to judge the policy on them."""

from dataclasses import dataclass

from app.network.config import PPOConfig
from app.network.memory.device_overhead import DeviceType
from app.network.memory.update_plan import FLOAT
from app.network.shape import NetworkShape

MAKING_BYTES = 230
"""Per bar of the longest dataset while its features are computed, beyond the table that they go into. Measured on a CPU."""

BAR_BYTES = 56
"""Per bar of all datasets: prices, volume and stamps as they were read, float64 and int64."""

JUDGING_BYTES, JUDGING_FIXED = 275, 60 << 20
"""On a CPU, per bar of the longest dataset and beside: walks, baselines and the bootstrap of the longest span. Measured."""

RECORDED_BYTES = 4 << 20
"""On a card: records of the walk that wait to be copied to the host (worker/trading/lanes.py)."""

REPLAYED_BYTES, REPLAYED_BARS = 330, 1 << 15
"""On a card: per decision while a lane's true account is reckoned, and how many are at once. Counted on a CPU."""

LANE_BYTES = 5_000
"""On a card, per lane: its account, and the heads' outputs."""

NORMALISED = 4
"""Copies of an observation while it is normalised; without that it is one."""


@dataclass(frozen=True, slots=True)
class JobData:
    """What a job's data is like, as far as its making and judging depend on it."""

    bars: int
    """Of all datasets."""
    longest: int
    """Of the longest dataset."""
    lanes: int
    """Stretches of one dataset that the evaluation walks side by side, at most."""


def making_bytes(data: JobData, device_type: DeviceType) -> int:
    """Beyond the dataset's tensors, while there is no network yet; a card's run does it in the host's memory."""
    return MAKING_BYTES * data.longest + BAR_BYTES * data.bars if device_type == "cpu" else 0


def judging_bytes(shape: NetworkShape, config: PPOConfig, data: JobData, device_type: DeviceType) -> int:
    """Once there are neither gradients nor a rollout: a card sees the walks only, judged they are on the host."""
    if device_type == "cpu":
        return JUDGING_BYTES * data.longest + JUDGING_FIXED
    observed = FLOAT * shape.obs_dim * (NORMALISED if config.norm_obs else 1)
    lane = observed + 2 * FLOAT * sum(shape.hidden_dims) + LANE_BYTES
    return RECORDED_BYTES + REPLAYED_BYTES * REPLAYED_BARS + data.lanes * lane
