"""One training run in a process of its own: its peak memory, printed as JSON; `benchmarks/memory.py` starts it.

On a CPU that is the largest resident size (`ru_maxrss`), with the process as the service's worker sets it up
(`worker.run` imported, freed memory kept); on CUDA what torch's allocator had in use and the whole card's use.
"""

import argparse
import json
import resource

import torch

import worker.run  # noqa: F401 - for its size: this process is to be as large as a worker's
from app.network.config import PPOConfig
from app.network.memory.run_memory import run_memory
from app.network.memory.run_plan import RunPlan
from app.network.tiers import TIERS
from benchmarks.tracked_trainer import dataset_bytes
from benchmarks.worlds import EPISODE, make_env, make_market
from worker.ppo.allocator import keep_freed_memory
from worker.ppo.observe import describe
from worker.ppo.trainer import NativePPOTrainer


def main() -> None:
    """Train for two updates and print what was held."""
    options = _parse()
    keep_freed_memory()
    torch.set_num_threads(1)
    imported = read_peak()
    config = PPOConfig(
        hidden_dims=tuple(int(width) for width in options.hidden.split(",")),
        num_envs=options.envs,
        num_steps=options.steps,
        update_epochs=1,
        total_timesteps=2 * options.envs * options.steps,
        precision=options.precision,
        first_layer=options.first_layer,
    )
    market = make_market(options.bars, options.device)
    trainer = NativePPOTrainer(make_env(market, options.envs), config)
    updates = len(list(trainer.train()))
    size = dataset_bytes(trainer.env)  # type: ignore[arg-type] # make_env gives a TradingEnv
    device_type = torch.device(options.device).type
    plan = RunPlan(device_type, 8, describe(trainer.env.windows), 20, EPISODE, size)  # type: ignore[arg-type, attr-defined]
    estimate = run_memory(trainer.network.shape, config, plan)
    answer = {
        "updates": updates,
        "first_layer": f"{trainer.first_layer.rollout}; {trainer.first_layer.minibatch}"
        if trainer.first_layer
        else "",
        "imported": imported,
        "peak": read_peak(),
        "tensors": estimate.tensor_bytes,
        "total": estimate.total_bytes,
        **(_read_card() if device_type == "cuda" else {}),
    }
    print(json.dumps(answer))


def read_peak() -> int:
    """Largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _read_card() -> dict[str, int | str]:
    free, total = torch.cuda.mem_get_info()  # the driver's own count, as NVML gives it
    return {
        "card": torch.cuda.get_device_name(),
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
        "used": total - free,
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", default=",".join(map(str, TIERS["cpu"].hidden_dims)))
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--bars", type=int, default=20_000)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--first-layer", default="auto")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
