"""How a run will be carried out, as far as sizes depend on it."""

from dataclasses import dataclass
from typing import Any

from app.network.disk.contents import Provenance
from app.network.first_layer import WindowGeometry
from app.network.memory.device_overhead import DeviceType
from app.network.memory.job_memory import JobData
from app.network.memory.update_plan import FLOAT, AdamKind
from app.network.shape import NetworkShape


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Device, data and processes of a run."""

    device_type: DeviceType = "cuda"
    """Where the tensors live."""
    rollout_bytes_per_step: int | None = None
    """Bytes of one step's observation parts; None stores the observation itself, 4·obs_dim."""
    windows: WindowGeometry | None = None
    """Where observations are windows over a series that the trainer knows of."""
    sliding_row_bytes: int = 0
    """Bytes that each step adds to a window over the last `windows.lookback` steps."""
    episode_length: int | None = None
    """Steps after which an episode ends at the latest."""
    dataset_bytes: int = 0
    """Bars and features kept on the device."""
    adam: AdamKind = "fused"
    """Which of torch's Adam implementations steps."""
    processes: int = 1
    """Processes that train one policy together, a device each; the estimate is of one of them."""
    data: JobData | None = None
    """What the market is made of and the policy is judged on; None where updates are all that is asked about."""
    env_state: Any = None
    """What the environment's state dict will hold, tensors as TensorSpec; for the checkpoint's size."""
    provenance: Provenance | None = None
    """What the checkpoint will say about its origin."""

    def step_bytes(self, shape: NetworkShape) -> int:
        """Bytes of one step's observation parts."""
        stored = self.rollout_bytes_per_step
        return FLOAT * shape.obs_dim if stored is None else stored
