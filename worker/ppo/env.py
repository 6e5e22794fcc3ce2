"""The batched environment that the trainer steps.

Shape suffixes: N environments, D obs_dim, B samples.

An environment hands out *observation parts*, not observations: a dict of tensors whose first dimension
is N. A plain environment has one part, the observation itself. A market environment gives the time index
and the account's state, from which `materialise` builds the window only where it is used: the rollout
buffer then holds bytes a step instead of kilobytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from app.network.shape import ActionKind

ObservationParts = dict[str, Tensor]
"""Named tensors, each [N, …] (or [B, …] once flattened), that together stand for N observations."""


@dataclass(frozen=True, slots=True)
class EnvStep:
    """What one step of N environments gives.

    Ended environments have been reset already: `parts` is the first observation of the next episode,
    and `final_parts` the last one of the episode that ended (equal to `parts` where none ended), of which
    a truncated episode's value is bootstrapped.
    """

    parts: ObservationParts
    reward_N: Tensor
    terminated_N: Tensor
    truncated_N: Tensor
    final_parts: ObservationParts


class BatchedEnv(Protocol):
    """N environments stepped at once, on one device.

    Actions are int64 [N] for a discrete policy and float32 [N, action_dim] for a Gaussian one.
    """

    num_envs: int
    obs_dim: int
    action_dim: int
    action_kind: ActionKind
    device: torch.device

    def reset(self, seed: int | None = None) -> ObservationParts:
        """Start all environments anew; the same seed gives the same episodes."""
        ...

    def observe(self) -> ObservationParts:
        """The present observation, as `reset` or the last `step` gave it."""
        ...

    def step(self, actions: Tensor) -> EnvStep:
        """Take one action in each environment."""
        ...

    def materialise(self, parts: ObservationParts) -> Tensor:
        """Build float32 observations [B, D] from parts with any leading size B."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a bit-identical continuation needs: tensors and plain values only."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        ...


@dataclass(frozen=True, eq=False)
class WindowSeries:
    """A series that all environments see through windows of the same length; never changes."""

    series_TF: Tensor
    """Float32 [T, F], finite; row t is a bar."""
    lookback: int
    """Rows of a window."""
    row_part: str
    """The part that holds the row which each window ends with, int64 [N]; one more after each step."""
    ranges: tuple[tuple[int, int], ...]
    """Half-open ranges of rows that a window may end with, final observations included."""
    sliding_part: str | None = None
    """A part [N, L, K] that drops its oldest row and takes one new row each step, and is all 0 where an
    episode begins; None where there is none."""


@runtime_checkable
class WindowedEnv(BatchedEnv, Protocol):
    """A BatchedEnv whose observation is a window over a shared series, followed by other columns.

    `materialise(parts)` equals the window [L, F] flattened, oldest row first, then `rest(parts)`. What is
    known of the windows lets the trainer share the first layer's work among them (first_layer.py).
    """

    windows: WindowSeries

    def rest(self, parts: ObservationParts) -> Tensor:
        """The observation's other columns, float32 [B, R]; R may be 0."""
        ...
