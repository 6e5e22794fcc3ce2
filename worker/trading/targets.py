"""Actions of a policy -> positions."""

import torch
from torch import Tensor

from app.market.trading import ActionSpec


def to_targets(actions: Tensor, spec: ActionSpec, grid: Tensor) -> Tensor:
    """Positions [N] in float64 that actions ask for: int64 [N], or float [N, 1] clipped to low..high.

    `grid` is `make_grid(spec, device)`.
    """
    if spec.kind == "discrete":
        return grid[actions.long()]
    return actions.reshape(-1).to(torch.float64).clamp(spec.low, spec.high)


def make_grid(spec: ActionSpec, device: torch.device) -> Tensor:
    """The discrete targets as a float64 tensor on the device."""
    return torch.tensor(spec.targets, dtype=torch.float64, device=device)
