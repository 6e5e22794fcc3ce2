"""The real trainer under torch's MemTracker: what an update holds, counted in an allocator's blocks.

On fake tensors nothing is computed and nothing allocated; sizes, operations and lifetimes are the trainer's own. What a CUDA run does
otherwise than a CPU's is switched on: no look at a tensor's values, tables and blocks over all rows, LayerNorm in
fp32 under autocast, the cost model's choices for CUDA.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools import mem_tracker
from torch.testing._internal.distributed.fake_pg import FakeStore

from app.market.schema import MARKET_FEATURES, FeatureSchema
from app.market.splits import Span
from app.market.trading import RETAIL_COSTS, ActionSpec, EnvSpec
from app.network.config import PPOConfig
from app.network.first_layer import chunk_width, plan_first_layer
from app.network.memory.device_overhead import DeviceType
from app.network.memory.run_memory import MemoryEstimate, run_memory
from app.network.memory.run_plan import RunPlan
from app.network.memory.tape import blocks
from app.network.memory.update_plan import AdamKind
from app.network.shape import NetworkShape
from worker.ppo.env import BatchedEnv, EnvStep, ObservationParts
from worker.ppo.episodes import EpisodeTally
from worker.ppo.observe import describe
from worker.ppo.rollout import RolloutBuffer
from worker.ppo.trainer import NativePPOTrainer
from worker.trading.env import TradingEnv
from worker.trading.market import MarketTensors

EPISODE = 1_000


@dataclass(frozen=True)
class Market:
    """A market to be seen through windows."""

    bars: int
    features: int
    lookback: int


@dataclass(frozen=True)
class Case:
    """One run whose memory is predicted and tracked."""

    shape: NetworkShape
    config: PPOConfig
    adam: AdamKind = "fused"
    processes: int = 1
    market: Market | None = None
    """Without one, observations are stored as they are."""
    device_type: DeviceType = "cuda"
    """cuda is tracked on fake tensors, a CPU on real ones: there the tables' sizes follow from the rows met."""
    episode: int = EPISODE
    """Steps after which an episode ends; shorter than a rollout, environments begin anew within it."""

    def plan(self, env: "BatchedEnv | TradingEnv") -> RunPlan:
        """As a job's plan says it."""
        if not isinstance(env, TradingEnv):
            return RunPlan(self.device_type, adam=self.adam, processes=self.processes)
        windows, size = describe(env.windows), dataset_bytes(env)
        return RunPlan(self.device_type, 8, windows, 20, self.episode, size, self.adam, self.processes)


@dataclass(frozen=True)
class Tracked:
    """A prediction and what the tracker counted."""

    case: Case
    plan: RunPlan
    estimate: MemoryEstimate
    peak: int

    @property
    def apart(self) -> int:
        """Bytes of the rollout buffer and the dataset, whose sizes are plain products."""
        named = ("rollout buffer", "dataset")
        return sum(part.bytes for part in self.estimate.components if part.name in named)

    @property
    def error(self) -> float:
        """Predicted over counted, less 1, with buffer and dataset taken out of both: they would hide the rest."""
        return (self.estimate.tensor_bytes - self.apart) / (self.peak - self.apart) - 1


class _NoModules:
    """In place of MemTracker's statistics by module, which allow one pass only and keep autograd's graph alive."""

    is_bw = False
    parents: frozenset[str] = frozenset()

    def register_user_hooks(self, *_: Any) -> None: ...
    def clear_user_hooks(self) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class BlockTracker(mem_tracker.MemTracker):  # type: ignore[no-untyped-call] # torch's hook for subclasses
    """MemTracker for the sum over all tensors; in blocks where `_count_blocks` is in place."""

    def __init__(self) -> None:
        super().__init__()
        self._mod_tracker = _NoModules()  # type: ignore[assignment] # has all that is asked of it

    @property
    def peak(self) -> int:
        """Most bytes alive at once."""
        return int(self.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"])

    def forget_peak(self) -> None:
        """Count from here on: what went before was on the host."""
        self._peak_mem.clear()


class StoredEnv:
    """Environments whose observations are stored whole; the first and the last of a step are two tensors."""

    def __init__(self, shape: NetworkShape, num_envs: int) -> None:
        self.num_envs, self.obs_dim, self.device = num_envs, shape.obs_dim, torch.device("cpu")
        self.action_dim, self.action_kind = shape.action_dim, shape.action_kind
        self._parts, self._final = ({"obs": torch.zeros(num_envs, shape.obs_dim)} for _ in range(2))
        self._reward_N, self._ended_N = torch.zeros(num_envs), torch.zeros(num_envs, dtype=torch.bool)

    def reset(self, seed: int | None = None) -> ObservationParts:  # noqa: ARG002 - nothing is drawn
        """The one observation that there is."""
        return self._parts

    def observe(self) -> ObservationParts:
        """The same."""
        return self._parts

    def step(self, actions: Tensor) -> EnvStep:  # noqa: ARG002 - nothing moves
        """The same again."""
        return EnvStep(self._parts, self._reward_N, self._ended_N, self._ended_N, self._final)

    def materialise(self, parts: ObservationParts) -> Tensor:
        """The part is the observation."""
        return parts["obs"]


def track(case: Case) -> Tracked:
    """Track two updates of the trainer: the second's rollout has all that the first has left behind."""
    fake, tracker = case.device_type == "cuda", BlockTracker()
    mode, world = FakeTensorMode() if fake else contextlib.nullcontext(), _processes(case.processes)
    with world, mode, _replaced(_as_on_a_card(case) if fake else _ON_A_CPU), tracker:
        env = _make_env(case)
        tracker.forget_peak()
        trainer = NativePPOTrainer(env, case.config)
        for _ in range(2):
            (_update if fake else NativePPOTrainer._run_within_memory)(trainer)  # noqa: SLF001 - the update alone
        plan, peak = case.plan(env), tracker.peak
    return Tracked(case, plan, run_memory(case.shape, case.config, plan), peak)


def dataset_bytes(env: TradingEnv) -> int:
    """Of the market and of where its episodes begin and end: counted, so that it can be taken out whole."""
    market = env.market
    money = (market.open_T, market.close_T, market.sigma_T, market.natr_T, market.periods_per_year_T)
    return sum(blocks(each.nbytes) for each in (market.features_TF, *money, env._starts, env._last_T))  # noqa: SLF001


def _update(trainer: NativePPOTrainer) -> None:
    """As the trainer's own, but for reading the figures, which fake tensors have not."""
    generator = trainer._generator  # noqa: SLF001 - the trainer's own parts, one by one
    buffer = trainer._collector.collect(generator)  # noqa: SLF001
    figures = trainer._learner.improve(buffer, trainer._observer, 0.2, generator)  # noqa: SLF001
    trainer._learner.sum_up(figures, buffer)  # noqa: SLF001
    trainer._observer.commit()  # noqa: SLF001


def _make_env(case: Case) -> BatchedEnv | TradingEnv:
    num_envs = case.config.num_envs // case.processes
    if case.market is None:
        return StoredEnv(case.shape, num_envs)  # type: ignore[return-value] # has no state to save
    actions = ActionSpec(kind=case.shape.action_kind)
    spec = EnvSpec(RETAIL_COSTS, actions=actions, episode_length=case.episode)
    return TradingEnv(_make_market(case.market), Span(0, case.market.bars), spec, num_envs=num_envs)


def _make_market(market: Market) -> MarketTensors:
    opened, closed, sigma, natr, year = (torch.ones(market.bars, dtype=torch.float64) for _ in range(5))
    features = torch.ones(market.bars, market.features)
    schema = FeatureSchema(names=MARKET_FEATURES[: market.features], lookback=market.lookback)
    no_dates = np.zeros(market.bars, np.int64)
    segments = ((0, market.bars),)
    return MarketTensors(features, opened, closed, sigma, natr, segments, no_dates, schema, year)


@contextlib.contextmanager
def _processes(count: int) -> Iterator[None]:
    if count == 1:
        yield
        return
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=count)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _count_blocks(storage: Any) -> int:
    return blocks(storage.size * storage.element_size)


_ON_A_CPU = {"torch.distributed._tools.mem_tracker._WeakRefInfo._calculate_mem_consumed": _count_blocks}


def _as_on_a_card(case: Case) -> dict[str, Any]:
    """Everything that would read a fake tensor's values is left out; nothing that allocates in the loop is."""
    ends = math.ceil(case.config.num_steps / case.episode)
    return {
        **_ON_A_CPU,
        "worker.ppo.network._build_linear": _build_linear,
        "worker.ppo.network.NativeActorCritic._initialise": lambda *_: None,
        "worker.ppo.network.NativeActorCritic.to": lambda network, _: network,
        "worker.ppo.rollout.RolloutBuffer.truncated_samples": lambda buffer: _all_at_once(buffer, ends),
        "worker.ppo.episodes.EpisodeTally.count": EpisodeTally._sum_up,  # noqa: SLF001 - all of it but the reading
        "worker.ppo.observe._is_finite": lambda _: True,
        "worker.ppo.observe.plan_first_layer": lambda config, windows, _: plan_first_layer(
            config, windows, "cuda"
        ),
        "worker.ppo.convolution.chunk_width": lambda outputs, spectra, _: chunk_width(
            outputs, spectra, "cuda"
        ),
        "torch.optim.Adam": _adam_of(case.adam),
        "torch.nn.LayerNorm.forward": _wide_layer_norm,
        **{
            f"worker.ppo.{name}.waits_for_reads": lambda _: True
            for name in ("sliding", "row_table", "window_source")
        },
    }


@contextlib.contextmanager
def _replaced(names: Mapping[str, Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name, value in names.items():
            stack.enter_context(mock.patch(name, value))
        yield


def _all_at_once(buffer: RolloutBuffer, ends: int) -> Tensor:
    """Episodes of one length that began together end together: so many times all environments' samples are truncated."""
    return torch.zeros(ends * buffer.num_envs, dtype=torch.int64)


def _build_linear(width: int, out: int) -> nn.Linear:
    layer = nn.Linear(width, out, device="meta")
    layer.weight, layer.bias = nn.Parameter(torch.empty(out, width)), nn.Parameter(torch.empty(out))
    return layer


def _adam_of(kind: AdamKind) -> Any:
    adam, fused = torch.optim.Adam, kind == "fused"

    def make(parameters: Any, **settings: Any) -> torch.optim.Adam:
        chosen = {"fused": fused or None, "foreach": None if fused else kind == "foreach"}
        return adam(parameters, **{**settings, **chosen})

    return make


_layer_norm = nn.LayerNorm.forward


def _wide_layer_norm(layer: nn.LayerNorm, given: Tensor) -> Tensor:
    """As CUDA's autocast has it: fp32 in, fp32 out."""
    if not torch.is_autocast_enabled("cpu"):
        return _layer_norm(layer, given)
    with torch.autocast("cpu", enabled=False):
        return _layer_norm(layer, given.float())
