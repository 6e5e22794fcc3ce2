"""What each of two processes does in test_distributed.py; started by torchrun: two_processes.py <folder>."""

import sys
from pathlib import Path
from typing import Any

import gymnasium
import torch
from torch import distributed

from app.errors import InvalidConfig
from app.market.schema import FeatureSchema
from app.market.splits import Span
from app.market.trading import RETAIL_COSTS, EnvSpec
from tests.market.making import make_bars
from worker.ppo.config import PPOConfig
from worker.ppo.distributed import World
from worker.ppo.gymnasium_adapter import GymnasiumBatch
from worker.ppo.trainer import NativePPOTrainer
from worker.trading.env import TradingEnv
from worker.trading.market import build_market

ENVS = 6
"""In both processes together."""

UPDATES = 3

SCENARIOS: dict[str, dict[str, Any]] = {
    "plain": {},
    "normalised": {"norm_obs": True, "norm_reward": True},
    "stopped": {"target_kl": 0.0002, "update_epochs": 4},
    "market": {"first_layer": "convolution", "norm_reward": True},
    "gaussian": {"norm_reward": True, "desired_kl": 0.01, "anneal_lr": False},
}


def make_config(scenario: str) -> PPOConfig:
    values = {"hidden_dims": (16, 8), "num_envs": ENVS, "num_steps": 16, "num_minibatches": 4, "seed": 5}
    learning = {"learning_rate": 1e-3, "update_epochs": 2, "total_timesteps": ENVS * 16 * UPDATES}
    return PPOConfig(**{**values, **learning, **SCENARIOS[scenario]})


def make_batch(scenario: str, num_envs: int) -> Any:
    """Environments whose episodes end and run out of time within a rollout."""
    if scenario == "market":
        return make_market(num_envs)
    name = "Pendulum-v1" if scenario == "gaussian" else "CartPole-v1"
    return GymnasiumBatch(lambda: gymnasium.make(name, max_episode_steps=13), num_envs)


def make_market(num_envs: int) -> TradingEnv:
    market = build_market(make_bars(1_300, seed=3), FeatureSchema(names=("ret_1", "rsi_14"), lookback=5))
    return TradingEnv(market, Span(0, 1_300), EnvSpec(RETAIL_COSTS, episode_length=13), num_envs=num_envs)


def run(scenario: str, world: World, folder: Path) -> None:
    """Train; then again from the state after the first update, in fresh objects."""
    trainer = NativePPOTrainer(make_batch(scenario, ENVS // 2), make_config(scenario))
    assert trainer.world == world
    updates = trainer.train()
    progress = [next(updates)]
    torch.save(trainer.state_dict(), folder / f"{scenario}-first-{world.rank}.pt")
    progress += updates
    state = trainer.state_dict()

    resumed = NativePPOTrainer(make_batch(scenario, ENVS // 2), make_config(scenario))
    resumed.load_state_dict(torch.load(folder / f"{scenario}-first-{world.rank}.pt", weights_only=True))
    again = list(resumed.train())
    told = {"progress": [p.plain() for p in progress], "again": [p.plain() for p in again]}
    torch.save(
        {"state": state, "resumed": resumed.state_dict(), **told}, folder / f"{scenario}-{world.rank}.pt"
    )


def refuse(folder: Path, world: World) -> None:
    """What each process says of a single process's state, and of configurations that cannot be shared."""
    trainer = NativePPOTrainer(make_batch("plain", ENVS // 2), make_config("plain"))
    said = []
    alone = torch.load(folder / "alone.pt", weights_only=True)
    changes = ({"num_envs": 7}, {"num_minibatches": 32}, {"oom_retry": True}, {"num_envs": 8})
    for attempt in (
        lambda: trainer.load_state_dict(alone),
        *(lambda change=change: restart(change) for change in changes),
    ):
        try:
            attempt()
        except InvalidConfig as error:
            said.append((error.pointer, error.detail))
    torch.save(said, folder / f"refused-{world.rank}.pt")


def restart(change: dict[str, Any]) -> None:
    config = make_config("plain")
    for name, value in change.items():
        setattr(config, name, value)
    NativePPOTrainer(make_batch("plain", ENVS // 2), config)


def main(folder: Path) -> None:
    distributed.init_process_group("gloo")
    try:
        world = World.find()
        for scenario in SCENARIOS:
            run(scenario, world, folder)
        refuse(folder, world)
        wanted = [world.any(wanted=flag) for flag in (False, world.rank == 1, True)]
        torch.save(wanted, folder / f"wanted-{world.rank}.pt")
        distributed.barrier()  # a process that leaves early takes its connections from under the other
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
