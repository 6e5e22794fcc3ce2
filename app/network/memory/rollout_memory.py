"""What lasts from rollout to rollout: the buffer and the environments.

Notation: T steps, N environments.
"""

from dataclasses import dataclass

from app.network.config import PPOConfig
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.update_plan import FLOAT
from app.network.shape import NetworkShape

INDEX_BYTES = 8
"""Bytes of a row's number, or of a step's."""

STEP_SCALARS = (4, 4, 4, 4, 4, 4, 1, 1)
"""Bytes per step beside observations and actions: log probability, value, next value, reward, advantage,
return, and the two ways in which an episode ends."""

OBSERVATION_COPIES = 2
"""The rollout buffer keeps each step's observation parts, and those of the episode's end."""

STORED_STATE = 4
"""Values of 8 bytes per environment beside whole observations: rewards, ends, episodes' returns and ages."""

ACCOUNT_STATE = 19
"""Values of 8 bytes per environment that last: its account, row, episode's age and return, last step."""


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
