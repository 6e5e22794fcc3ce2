"""Observations that are windows over a series, as the network reads them: the first layer's outputs.

Shape suffixes: B samples, D obs_dim, H outputs of all trunks' first layers.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from app.network.first_layer import FirstLayerPlan
from worker.ppo.env import ObservationParts, WindowedEnv
from worker.ppo.first_layer import FirstLayer
from worker.ppo.network import NativeActorCritic, Preactivations
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import RolloutBuffer
from worker.ppo.row_table import RowTable
from worker.ppo.window_source import make_acting_source, make_source


class WindowedObserver:
    """Computes the first layer for windows in the ways that `plan` chose; see `observer.Observer`."""

    def __init__(
        self,
        env: WindowedEnv,
        network: NativeActorCritic,
        plan: FirstLayerPlan,
        num_steps: int,
        arithmetic: Arithmetic,
    ) -> None:
        self._env = env
        self._first = FirstLayer(network)
        self._row_part = env.windows.row_part
        dtype = torch.bfloat16 if arithmetic.precision == "bf16" else env.windows.series_TF.dtype
        self._learning = make_source(plan.minibatch, env.windows, dtype)
        shared = plan.rollout == plan.minibatch and plan.rollout.method != "table"
        self._acting = self._learning if shared else make_acting_source(plan.rollout, env.windows, dtype)
        self._table = None if plan.rollout.method == "direct" else RowTable(env.windows, self._acting)
        self._num_steps = num_steps
        self._steps_left = 0

    def begin_rollout(self) -> None:
        """Compute the market's part of every observation to come."""
        with torch.no_grad():
            weight_HD, self._bias_H = self._first.parameters()
            parts = self._env.observe()
            split = weight_HD.shape[1] - self._env.rest(parts).shape[1]
            self._weight_HM, self._weight_HR = weight_HD[:, :split], weight_HD[:, split:]
            self._steps_left = self._num_steps
            if self._table is not None:
                self._table.fill(self._weight_HM, parts[self._row_part], self._num_steps + 1)

    def begin_learning(self, buffer: RolloutBuffer) -> None:
        """Prepare for the rows of the whole rollout."""
        if self._table is not None:
            self._table.clear()
        self._learning.prepare(buffer.parts[self._row_part])

    def for_acting(self, parts: ObservationParts) -> Preactivations:
        """The first layer's outputs by the table; without one, by the windows of this step."""
        self._steps_left -= 1
        return self.for_values(parts)

    def for_values(self, parts: ObservationParts) -> Preactivations:
        """As `for_acting`."""
        rest_BR, rows_B = self._env.rest(parts), parts[self._row_part]
        with torch.no_grad(), torch.autocast(rest_BR.device.type, enabled=False):
            out_BH = torch.addmm(self._bias_H, rest_BR, self._weight_HR.T)
            if self._table is None:
                self._acting.windows(rows_B).add_to(out_BH, self._weight_HM)
            else:
                out_BH += self._table.take(rows_B, self._steps_left)
            return self._first.split(out_BH)

    def for_learning(self, parts: ObservationParts) -> Preactivations:
        """The first layer's outputs for a minibatch, with their gradient."""
        return self._first.learn(self._learning.windows(parts[self._row_part]), self._env.rest(parts))

    def normalise(self, obs_BD: Tensor) -> Tensor:
        """As they are: running statistics clip, and a clipped column is no sum of products."""
        return obs_BD

    def commit(self) -> None:
        """There are no statistics."""

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing: all is made anew from weights and series."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""
