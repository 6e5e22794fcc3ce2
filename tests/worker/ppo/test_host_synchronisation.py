"""Nothing inside a rollout's steps or an update's minibatches waits for the device.

On a CPU the operations that would wait are looked for, with the branches taken that a GPU takes; where there
is a GPU, torch itself raises an error for each.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from app.market.features import FeatureSchema
from app.market.splits import Span
from app.market.trading import RETAIL_COSTS, ActionSpec, EnvSpec
from tests.market.making import make_bars
from tests.worker.ppo.host_reads import HostReads, no_host_reads
from worker.ppo.config import PPOConfig
from worker.ppo.rollout import RolloutBuffer
from worker.ppo.trainer import NativePPOTrainer
from worker.trading.env import TradingEnv
from worker.trading.market import build_market

BRANCHING = ("sliding", "row_table", "window_source")
"""Modules that take another way where a read would wait."""

CASES: dict[str, dict[str, Any]] = {
    "direct": {"first_layer": "direct"},
    "table": {"first_layer": "table"},
    "convolution": {"first_layer": "convolution"},
    "separate": {"shared_trunk": False, "layer_norm": True},
    "normalised": {"norm_obs": True, "norm_reward": True},
    "gaussian": {"norm_adv": False, "clip_vloss": False},
}


def make_trainer(case: str, device: str) -> NativePPOTrainer:
    schema = FeatureSchema(names=("ret_1", "rsi_14", "vol_z_50"), lookback=5)
    market = build_market(make_bars(1_300, seed=3), schema, device)
    actions = ActionSpec(kind="gaussian") if case == "gaussian" else ActionSpec()
    # Episodes of 7 bars: several are truncated within each rollout.
    spec = EnvSpec(RETAIL_COSTS, actions=actions, episode_length=7)
    env = TradingEnv(market, Span(0, 1_300), spec, num_envs=4)
    small = {"hidden_dims": (16, 8), "num_envs": 4, "num_steps": 16, "update_epochs": 2}
    return NativePPOTrainer(env, PPOConfig(**{**small, "total_timesteps": 4 * 16 * 3, **CASES[case]}))


def collect(trainer: NativePPOTrainer) -> RolloutBuffer:
    return trainer._collector.collect(trainer._generator)


def step(trainer: NativePPOTrainer) -> None:
    trainer._collector.step(trainer._generator)


def improve(trainer: NativePPOTrainer, buffer: RolloutBuffer) -> None:
    trainer._learner.improve(buffer, trainer._observer, 0.2, trainer._generator)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in BRANCHING:
        monkeypatch.setattr(f"worker.ppo.{module}.waits_for_reads", lambda device: True)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("case", CASES)
def test_no_operation_inside_rollout_or_update_reads_from_the_device(case: str) -> None:
    trainer = make_trainer(case, "cpu")
    next(trainer.train())  # buffers and Adam's moments are made in the first update
    with no_host_reads():
        step(trainer)
    buffer = collect(trainer)
    assert (buffer.truncated_TN & ~buffer.terminated_TN).any()
    with no_host_reads():
        improve(trainer, buffer)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("case", ["direct", "table", "convolution"])
def test_the_branches_for_a_gpu_train_as_those_for_a_cpu(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = make_trainer(case, "cpu")
    list(there.train())
    monkeypatch.undo()
    here = make_trainer(case, "cpu")
    list(here.train())
    for (name, left), right in zip(
        there.network.state_dict().items(), here.network.state_dict().values(), strict=True
    ):
        assert torch.allclose(left, right, rtol=1e-4, atol=1e-6), name


@pytest.mark.usefixtures("as_on_a_gpu")
def test_an_update_reads_a_fixed_number_of_times() -> None:
    # Truncated steps, finished episodes, figures: three looks an update, however many minibatches it has.
    counts = []
    for parts in (1, 8):
        trainer = make_trainer("normalised", "cpu")
        trainer.split_into(parts)
        updates = trainer.train()
        next(updates)
        with HostReads() as reads:
            next(updates)
        counts.append(len([name for name in reads.found if "nonzero" in name]))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.numpy(),
        lambda x: bool(x.any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.masked_fill_(x > 0, 1.0)[[0, 1]],
        lambda x: x.__setitem__(x > 0, 1.0),
        torch.unique,
        lambda x: torch.equal(x, x),
        lambda x: x + torch.tensor([1.0, 2.0, 3.0]),
    ],
)
def test_the_guard_finds_what_waits(read: Callable[[torch.Tensor], Any]) -> None:
    with pytest.raises(AssertionError, match="wait for the device"), no_host_reads():
        read(torch.randn(3))


def test_the_guard_lets_pass_what_does_not_wait() -> None:
    x = torch.randn(4)
    with no_host_reads():
        torch.where(x > 0, 0.0, x).masked_fill(x > 0, 1.0).cumsum(0)[:2].index_select(0, torch.arange(2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("case", CASES)
def test_torch_itself_sees_no_synchronisation(case: str) -> None:
    trainer = make_trainer(case, "cuda")
    next(trainer.train())
    before = torch.cuda.get_sync_debug_mode()
    try:
        with trainer._arithmetic.products():
            torch.cuda.set_sync_debug_mode("error")
            step(trainer)
            torch.cuda.set_sync_debug_mode("default")
            buffer = collect(trainer)
            torch.cuda.set_sync_debug_mode("error")
            improve(trainer, buffer)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    assert buffer.truncated_TN.any()
