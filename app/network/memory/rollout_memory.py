"""Memory of collecting a rollout: the buffer, the environments, and what acting and advantages take.

Notation: T steps, N environments, D obs_dim.
"""

from dataclasses import dataclass
from itertools import pairwise

from app.network.config import PPOConfig
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.update_plan import FLOAT
from app.network.shape import HEAD_DIM, NetworkShape

INDEX_BYTES = 8
"""Bytes of a row's number, or of a step's."""

STEP_SCALARS = (4, 4, 4, 4, 4, 4, 1, 1)
"""Bytes per step beside observations and actions: log probability, value, next value, reward, advantage,
return, and the two ways in which an episode ends."""

OBSERVATION_COPIES = 2
"""The rollout buffer keeps each step's observation parts, and those of the episode's end."""

ACCOUNT_WINDOWS = 3
"""An environment's account windows at once: before a step, after it, and with ended episodes begun anew."""

STORED_STATE = 4
"""Values of 8 bytes per environment beside whole observations: rewards, ends, episodes' returns and ages."""

ACCOUNT_STATE = 19
"""Values of 8 bytes per environment that last: its account, row, episode's age and return, last step."""

ACCOUNT_VALUES = 48
"""Values of 8 bytes per environment in work while it steps (worker/trading/account.py)."""

SMALL_TENSORS = 24
"""Tensors of a step that are far smaller than the block that each takes."""

MOMENTS = 14
"""Values of 4 bytes per column while a step's mean and variance are merged, in float64."""

ADVANTAGE_BYTES = 18
"""Bytes per step of the rollout while returns of episodes, scaled rewards and advantages are computed."""


@dataclass(frozen=True, slots=True)
class RolloutMemory:
    """The rollouts of one run."""

    shape: NetworkShape
    config: PPOConfig
    step_bytes: int
    """Bytes of one step's observation parts, the sliding one aside."""
    sliding_row_bytes: int = 0
    """Bytes that each step adds to a sliding window."""
    lookback: int = 0
    built: bool = False
    """Whether observations are built from parts."""
    windowed: bool = False
    """Whether windows are multiplied without the observation being written out."""
    processes: int = 1

    @property
    def envs(self) -> int:
        """Environments of one process."""
        return self.config.num_envs // self.processes or 1

    @property
    def buffer(self) -> int:
        """The buffer's tensors, each in whole blocks."""
        steps = self.envs * self.config.num_steps
        action = FLOAT * self.shape.action_dim if self.shape.action_kind == "gaussian" else INDEX_BYTES
        held = sum(blocks(size * steps) for size in (*STEP_SCALARS, action))
        held += OBSERVATION_COPIES * blocks(self.step_bytes * steps)
        if self.sliding_row_bytes:
            rows, opened = self.lookback + self.config.num_steps, self.config.num_steps + 1
            held += blocks(self.envs * rows * self.sliding_row_bytes) + blocks(
                INDEX_BYTES * self.envs * opened
            )
        return held

    @property
    def environment(self) -> int:
        """What the environments keep from step to step."""
        if not self.sliding_row_bytes:
            return 2 * blocks(self.envs * self.step_bytes) + STORED_STATE * blocks(INDEX_BYTES * self.envs)
        account = blocks(self.envs * self.sliding_row_bytes * self.lookback)
        return account + ACCOUNT_STATE * blocks(INDEX_BYTES * self.envs) + 8 * BLOCK

    @property
    def deciding(self) -> int:
        """Choosing actions: a forward pass without autograd, so that a layer's input and output are alive."""
        actions = FLOAT * self.shape.action_dim
        after = max(self._widest + actions, 5 * actions + 8 * FLOAT)
        norm = 2 if self.shape.layer_norm else 1
        if self.windowed:
            # Autocast begins after the first layer, whose outputs are of all trunks.
            return (
                self.envs * (self.outputs + max(FLOAT * norm * self.shape.hidden_dims[0], after))
                + self._copies
            )
        observed = FLOAT * self.shape.obs_dim
        raw, given = (observed if self.built else 0), (observed if self.built or self.config.norm_obs else 0)
        first = (observed // 2 if self._narrow else 0) + 2 * self._item * self.shape.hidden_dims[0]
        normalising = self.envs * (raw + 2 * observed) + MOMENTS * observed if self.config.norm_obs else 0
        return (
            max(normalising, self.envs * (given + max(first, after)) + self._copies) + SMALL_TENSORS * BLOCK
        )

    @property
    def outputs(self) -> int:
        """Bytes of one sample's first-layer outputs, of all trunks."""
        return FLOAT * self.shape.hidden_dims[0] * (1 if self.shape.shared_trunk else 2)

    @property
    def _narrow(self) -> bool:
        return self.config.precision == "bf16"

    @property
    def _item(self) -> int:
        return FLOAT // 2 if self._narrow and not self.shape.layer_norm else FLOAT

    @property
    def _widest(self) -> int:
        """Most bytes of neighbouring layers at once, from the second layer on."""
        dims, item = self.shape.hidden_dims, self._item
        pairs = tuple(pairwise((*dims, HEAD_DIM)))
        if not (self._narrow and self.shape.layer_norm):
            return item * max(*(max(a + b, 2 * b) for a, b in pairs), dims[-1] + 2 * HEAD_DIM)
        # LayerNorm reads a wide copy and gives wide values, which the next layer copies again.
        linear, norm = (6 * a + 2 * b for a, b in pairs), 10 * max(dims)
        return max(*linear, norm, FLOAT * dims[-1] + 4 * HEAD_DIM)

    @property
    def _copies(self) -> int:
        """Weights under autocast, but those that multiply windows."""
        first = self.outputs // FLOAT * self.shape.obs_dim if self.windowed else 0
        return FLOAT // 2 * (self.shape.parameters - first) if self._narrow else 0

    @property
    def stepping(self) -> int:
        """Stepping the environments, or reckoning advantages after the last step."""
        account = self.sliding_row_bytes * self.lookback
        windows = (ACCOUNT_WINDOWS - 1) * blocks(self.envs * account) if account else 0
        step = windows + ACCOUNT_VALUES * blocks(INDEX_BYTES * self.envs)
        joined = 2 if self.processes > 1 else 1
        return max(step, ADVANTAGE_BYTES * self.envs * self.config.num_steps * joined)
