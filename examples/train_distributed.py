"""Train CartPole with several processes, one per device, by torch's own launcher.

    torchrun --standalone --nproc-per-node 2 examples/train_distributed.py [total_timesteps]

With a card for each process it trains on the cards, else on the CPU. Every process holds num_envs / processes
environments; the network, the figures and the stop are the same in all. Ctrl-C or a torchrun that is told to end
stops all of them after the present update.
"""

# ruff: noqa: INP001, T201 - a script, which prints

import os
import signal
import sys

import torch
from torch import distributed

from worker.ppo import NativePPOTrainer, PPOConfig
from worker.ppo.gymnasium_adapter import GymnasiumBatch

CONFIG = {"hidden_dims": (64, 64), "num_envs": 8, "num_steps": 64, "learning_rate": 1e-3, "ent_coef": 0.0}
"""num_envs is the total over all processes."""


def join_processes() -> torch.device:
    """Join the processes that torchrun started, and choose this one's device."""
    local_rank = int(os.environ["LOCAL_RANK"])
    if torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"]):
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        distributed.init_process_group("nccl", device_id=device)
        return device
    distributed.init_process_group("gloo")
    return torch.device("cpu")


def main(total_timesteps: int) -> None:
    """Train, and let the first process tell how it goes."""
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    device = join_processes()
    try:
        config = PPOConfig(total_timesteps=total_timesteps, **CONFIG)
        env = GymnasiumBatch("CartPole-v1", config.num_envs // distributed.get_world_size(), device=device)
        trainer = NativePPOTrainer(env, config)
        for progress in trainer.train():
            if trainer.world.rank == 0:
                print(_describe(progress.global_step, progress.episode_return, progress.steps_per_second))
            if trainer.world.any(wanted=bool(stop)):
                break
        state = trainer.state_dict()  # all processes call it; each gets the state of all
        if trainer.world.rank == 0:
            torch.save(state, "distributed.pt")
        distributed.barrier()  # a process that leaves early takes its connections from under the others
    finally:
        distributed.destroy_process_group()


def _describe(step: int, episode_return: float | None, speed: float) -> str:
    mean = "no episode yet" if episode_return is None else f"mean return {episode_return:6.1f}"
    return f"step {step:>8,}   {mean}   {speed:>7,.0f} steps/s"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16_384)
