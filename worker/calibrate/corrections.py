"""Parts of the real network at two widths, to be held against what the tables say of them.

Shape suffixes: N environments, B samples, H outputs, M market columns.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from app.network.config import FirstLayerMethod, PPOConfig
from app.network.first_layer import WindowGeometry, plan_first_layer
from app.network.shape import NetworkShape
from app.network.timing.calibration import Calibration, Correction, Part, Spread
from app.network.timing.first_layer_work import WindowedLayer
from app.network.timing.training_work import forward, learn_backward, learn_forward
from app.network.timing.work import Work
from app.network.timing.work_time import work_seconds
from worker.calibrate.turns import Turns
from worker.ppo.env import WindowSeries
from worker.ppo.network import NativeActorCritic, Preactivations
from worker.ppo.row_table import RowTable
from worker.ppo.window_source import make_source

LOOKBACK, FEATURES = 100, 48
"""Caliper's own observation: the windows that the first layer is timed on."""

ENVS, STEPS, MINIBATCHES, BARS = 64, 128, 4, 10_000
"""The CPU tier's own batch, on a series long enough for each environment to have rows of its own."""

FEW_ENVS = 16
"""A smaller batch, at one width; the direct product's only one, as it is the slowest and its ratio hardly depends on it."""

FAR_APART = 10_000_000
"""Rows of which the model is told: so many that no two environments see the same, as here none do."""

WIDTHS = (192, 768)


@dataclass(frozen=True)
class _Case:
    """One part at one width: the task that is timed, and the work that the model makes of it."""

    what: str
    part: Part
    config: PPOConfig
    work: Work
    samples: int

    @property
    def width(self) -> int:
        """Outputs of the first layer."""
        return self.config.hidden_dims[0]

    @property
    def name(self) -> tuple[str, str, int, int]:
        """The task's name among the turns."""
        return self.what, self.part, self.width, self.samples


class Corrections:
    """All cases of a calibration."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        draw = torch.Generator().manual_seed(3)
        device = turns.device
        series_TF = torch.randn(BARS + LOOKBACK, FEATURES, generator=draw).to(device)
        ranges = ((LOOKBACK - 1, BARS + LOOKBACK - 1),)
        self._series = WindowSeries(series_TF, LOOKBACK, "row", ranges)
        self._starts_N = (torch.arange(ENVS) * (BARS // ENVS) + LOOKBACK - 1).to(device)
        self._cases = [case for width in WIDTHS for case in self._make(width)]

    def ratios(self, calibration: Calibration) -> tuple[Correction, ...]:
        """Measured over modelled, turn by turn."""
        return tuple(self._ratio(case, calibration) for case in self._cases)

    def _ratio(self, case: _Case, calibration: Calibration) -> Correction:
        # Calls are added beside the correction, not times it.
        calls = work_seconds(Work(repeats=case.work.repeats), case.config, calibration)
        plain = Work(case.work.products, case.work.values)
        modelled = work_seconds(plain, case.config, calibration)
        seconds = self._turns.seconds[case.name]
        if calibration.device_type != "cpu":
            calls = 0.0  # hidden behind the device's work
        ratios = [max(0.05, (each - calls) / modelled) for each in seconds]
        return Correction(case.what, case.part, case.width, case.samples, Spread.of(ratios))

    def _make(self, width: int) -> Iterator[_Case]:
        few = [FEW_ENVS] if width == min(WIDTHS) else []
        yield from self._make_first(width, "direct", FEW_ENVS)
        for envs in (*few, ENVS):
            yield from self._make_first(width, "convolution", envs)
            yield from self._make_network(width, envs)

    def _add(self, case: _Case, task: Callable[[], object]) -> _Case:
        self._turns.add(case.name, task)
        return case

    def _make_first(self, width: int, method: FirstLayerMethod, envs: int) -> Iterator[_Case]:
        config = PPOConfig(
            (width,), num_envs=envs, num_steps=STEPS, num_minibatches=MINIBATCHES, first_layer=method
        )
        device, geometry = self._turns.device, WindowGeometry(LOOKBACK, FEATURES, FAR_APART)
        layer = WindowedLayer(config, geometry, 0, device.type)
        plan = plan_first_layer(config, geometry, device.type)
        source = make_source(plan.minibatch, self._series, torch.float32)
        starts_N = self._starts_N[:envs]
        rows = (starts_N + torch.arange(STEPS, device=device)[:, None]).flatten()
        source.prepare(rows)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(4)).to(device)
        rows_B = rows[order[: config.minibatch_size]]
        weight_HM = torch.randn(width, LOOKBACK * FEATURES, device=device)
        out_BH, grad_HM = torch.zeros(len(rows_B), width, device=device), torch.empty_like(weight_HM)
        forward_case = _Case(method, "forward", config, layer.forward(), len(rows_B))
        yield self._add(forward_case, lambda: source.windows(rows_B).add_to(out_BH, weight_HM))
        held = source.windows(rows_B)
        backward_case = _Case(method, "backward", config, layer.backward(), len(rows_B))
        yield self._add(backward_case, lambda: held.gradient(out_BH, grad_HM))
        if plan.rollout.block:
            table = RowTable(self._series, make_source(plan.rollout, self._series, torch.float32))
            ahead = _Case(method, "ahead", config, layer.ahead(), len(rows_B))
            yield self._add(ahead, partial(_fill, table, weight_HM, starts_N))

    def _make_network(self, width: int, envs: int) -> Iterator[_Case]:
        config = PPOConfig(
            (width, width // 2, width // 4), num_envs=envs, num_steps=STEPS, num_minibatches=MINIBATCHES
        )
        device, shape = self._turns.device, NetworkShape(LOOKBACK * FEATURES, config.hidden_dims)
        network = NativeActorCritic(replace(shape, obs_dim=1)).to(device)
        batch = config.minibatch_size
        learn = _make_preactivations(batch, width, device)
        act = _make_preactivations(envs, width, device)
        outputs, wanted = network(learn), [*list(network.parameters())[2:], *learn.of_trunks]
        seeds = [torch.ones_like(each) for each in outputs]
        learned = _Case("network", "forward", config, learn_forward(shape, config), batch)
        yield self._add(learned, partial(_pass, network, learn))
        improved = _Case("network", "backward", config, learn_backward(shape, config), batch)
        yield self._add(improved, lambda: torch.autograd.grad(outputs, wanted, seeds, retain_graph=True))
        acted = _Case("network", "acting", config, forward(shape, envs, None), envs)
        yield self._add(acted, partial(_pass, network, act))


def _fill(table: RowTable, weight_HM: Tensor, starts_N: Tensor) -> None:
    table.clear()
    table.fill(weight_HM, starts_N, STEPS + 1)


@torch.no_grad()
def _pass(network: NativeActorCritic, observed: Preactivations) -> object:
    return network(observed)


def _make_preactivations(rows: int, width: int, device: torch.device) -> Preactivations:
    return Preactivations((torch.randn(rows, width, device=device, requires_grad=True),))
