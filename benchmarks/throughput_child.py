# ruff: noqa: PLC0415 - each process loads only what it measures: memory is compared
"""One measurement of benchmarks/throughput.py, in a process of its own; prints JSON.

python -m benchmarks.throughput_child '{"who": "ours", "task": "market", "hidden": [256, 128, 64], …}'
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import torch

from app.network.config import PPOConfig
from benchmarks.learning import Noted
from benchmarks.products import ProductCounter, measure_peak
from benchmarks.worlds import (
    GymnasiumTensorEnvs,
    MarketTensorEnvs,
    TensorEnvs,
    make_env,
    make_market,
)
from worker.ppo.allocator import keep_freed_memory
from worker.ppo.env import BatchedEnv
from worker.ppo.gymnasium_adapter import GymnasiumBatch

WARM_UPDATES = 1
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Case:
    """What to measure: who trains what in which task."""

    who: str
    """ours, sb3 or cleanrl."""
    task: str
    """market or cartpole."""
    hidden: tuple[int, ...]
    bars: int
    envs: int
    steps: int
    updates: int
    """Updates measured."""
    count: bool = False
    """Whether the warm-up is a whole update in which matrix products are counted."""
    seed: int = 1
    first_layer: str = "auto"
    learning_rate: float = 2.5e-4
    clock: str = "wall"
    """wall, or cpu: processor seconds of all threads."""
    episodes: list[tuple[float, int]] = field(default_factory=list)
    """Returns and lengths of CartPole's episodes, as they end."""

    @property
    def config(self) -> PPOConfig:
        """The settings of all three."""
        return PPOConfig(
            hidden_dims=self.hidden,
            shared_trunk=self.task == "market",
            total_timesteps=(self.updates + WARM_UPDATES) * self.envs * self.steps,
            num_envs=self.envs,
            num_steps=self.steps,
            learning_rate=self.learning_rate,
            first_layer=self.first_layer,  # type: ignore[arg-type] - checked by the trainer
            seed=self.seed,
        )

    def cartpole(self) -> gymnasium.Env[Any, Any]:
        """One CartPole whose episodes are noted, the same way for all."""
        return Noted(gymnasium.make("CartPole-v1", disable_env_checker=True), self.episodes)


def main() -> None:
    case = json.loads(sys.argv[1])
    keep_freed_memory()
    if case["who"] == "peak":
        print(json.dumps({"flops_per_second": measure_peak(clock=CLOCKS[case.get("clock", "wall")])}))
        return
    print(json.dumps(measure(Case(**{**case, "hidden": tuple(case["hidden"])}))))


def measure(case: Case) -> dict[str, Any]:
    """Env-steps a second, peak memory, returns, and what the trainer says of itself."""
    run = {"ours": _run_ours, "sb3": _run_sb3, "cleanrl": _run_cleanrl}[case.who]
    answer = run(case)
    steps = case.updates * case.envs * case.steps
    returns = [total for total, _ in case.episodes[-100:]]
    return {
        **answer,
        "steps_per_second": steps / answer["seconds"],
        "peak_bytes": read_peak(),
        "episode_return": sum(returns) / len(returns) if returns else None,
    }


def read_peak() -> int:
    """Largest resident memory of this process; ru_maxrss would begin with its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1_024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _run_ours(case: Case) -> dict[str, Any]:
    from worker.ppo.trainer import NativePPOTrainer

    env: BatchedEnv = (
        make_env(make_market(case.bars), case.envs)
        if case.task == "market"
        else GymnasiumBatch(case.cartpole, case.envs)
    )
    trainer = NativePPOTrainer(env, case.config)
    updates = trainer.train()
    counter = ProductCounter()
    epochs = trainer.config.update_epochs
    if case.count:
        with counter:
            next(updates)
    else:
        trainer.config.update_epochs = 1
        next(updates)
    trainer.config.update_epochs = epochs
    started = CLOCKS[case.clock]()
    for _ in range(case.updates):
        next(updates)
    seconds = CLOCKS[case.clock]() - started
    plan = trainer.first_layer
    return {
        "seconds": seconds,
        "flops": counter.flops if case.count else None,
        "parameters": _count(trainer.network),
        "plan": f"rollout {plan.rollout}, minibatches {plan.minibatch}" if plan else None,
    }


def _run_sb3(case: Case) -> dict[str, Any]:
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

    from benchmarks.sb3_ppo import MarketVecEnv, make_ppo, time_updates

    env: VecEnv = (
        MarketVecEnv(make_env(make_market(case.bars), case.envs))
        if case.task == "market"
        else DummyVecEnv([case.cartpole] * case.envs)
    )
    model = make_ppo(env, case.config)
    seconds = time_updates(
        model, case.config, short=WARM_UPDATES, updates=case.updates, clock=CLOCKS[case.clock]
    )
    return {"seconds": sum(seconds), "parameters": _count(model.policy)}


def _run_cleanrl(case: Case) -> dict[str, Any]:
    from benchmarks.cleanrl_loop import CleanRLLoop

    envs: TensorEnvs = (
        MarketTensorEnvs(make_env(make_market(case.bars), case.envs))
        if case.task == "market"
        else GymnasiumTensorEnvs(case.cartpole, case.envs)
    )
    loop = CleanRLLoop(envs, case.config)
    for _ in range(WARM_UPDATES):
        loop.update(epochs=1)
    started = CLOCKS[case.clock]()
    for _ in range(case.updates):
        loop.update()
    return {"seconds": CLOCKS[case.clock]() - started, "parameters": _count(loop.agent)}


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


if __name__ == "__main__":
    main()
