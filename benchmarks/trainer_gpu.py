"""The trainer on a CUDA card: throughput, share of the bf16 ceiling, memory against the closed form, host waits.

    python benchmarks/trainer_gpu.py [--networks Medium] [--envs 4096] [--steps 128] [--precisions fp32 tf32 bf16]
    python benchmarks/trainer_gpu.py --device cpu        # tiny sizes: shows that it runs, measures nothing of worth

UNTESTED ON CUDA until a result of it lies under benchmarks/results/: written on a machine without a card.

Ours and the CleanRL-style loop without its host waits (`lean` in cleanrl_loop.py: fused Adam, shuffle on the device,
nothing read back; LeanRL's compilation and CUDA graphs are not in it) train in turns in one process, on the same
market of random-walk bars and in the same precision. `direct` is the share of the measured bf16 product peak if
every sample's whole observation were multiplied, whatever was done in truth; the goal is 0.60 at Medium,
4,096 x 128. `memory` is the allocator's peak over what was allocated before, `of form` that peak over the
estimate's closed form (goal: at most 1.20). `waits` counts the operations that made the host wait for the card in one
update, and in one of twice the steps and epochs: if both are equal, none is in the loops.
"""

import argparse
import gc
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.network.config import PPOConfig
from app.network.memory.run_memory import run_memory
from app.network.memory.run_plan import RunPlan
from benchmarks.cleanrl_loop import CleanRLLoop
from benchmarks.products import measure_peak
from benchmarks.throughput import LONG, NETWORKS, direct_flops, spread
from benchmarks.worlds import EPISODE, MarketTensorEnvs, StaggeredEnv, make_env, make_market
from worker.ppo.observe import describe
from worker.ppo.precision import Arithmetic
from worker.ppo.trainer import NativePPOTrainer

INDEX_BYTES = 8
SYNC_WARNING = "called a synchronizing"


@dataclass(frozen=True)
class Case:
    """One point of the grid."""

    network: str
    envs: int
    steps: int
    precision: str
    bars: int
    device: str

    @property
    def config(self) -> PPOConfig:
        """Settings of both; the learning rate stays, so that any number of updates may follow."""
        return PPOConfig(
            hidden_dims=NETWORKS[self.network],
            total_timesteps=10**12,
            num_envs=self.envs,
            num_steps=self.steps,
            precision=self.precision,  # type: ignore[arg-type] - argparse has checked it
            anneal_lr=False,
        )

    def make_env(self) -> StaggeredEnv:
        """A fresh market with fresh environments."""
        return make_env(make_market(self.bars, self.device), self.envs)


@dataclass
class Result:
    """What one contender did in one round."""

    speed: float
    peak_bytes: int
    closed_form: int = 0
    plan: str = ""


def main() -> None:
    options = _parse()
    describe_machine(options.device)
    ceiling = measure_peak(options.device, torch.bfloat16, (8192,) if options.device == "cuda" else (512,))
    print(f"bf16 product peak {ceiling / 1e12:,.2f} TFLOP/s")
    print(
        f"{'network':8}{'envs':>6}{'steps':>6} {'precision':10}{'who':8}{'env-steps/s':>12}{'x lean':>24}"
        f"{'direct':>8}{'memory MB':>11}{'of form':>9}"
    )
    for network, envs, precision in product(options.networks, options.envs, options.precisions):
        case = Case(network, envs, options.steps, precision, options.bars, options.device)
        compare(case, options.rounds, options.updates, ceiling)
        print(f"    waits of ours: {count_waits(case)}", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    on_cpu = parser.parse_known_args()[0].device == "cpu"
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=["Tiny"] if on_cpu else list(NETWORKS)
    )
    parser.add_argument("--envs", nargs="+", type=int, default=[8] if on_cpu else [1_024, 4_096])
    parser.add_argument("--steps", type=int, default=16 if on_cpu else 128)
    parser.add_argument(
        "--precisions", nargs="+", choices=("fp32", "tf32", "bf16"), default=["fp32", "tf32", "bf16"]
    )
    parser.add_argument("--bars", type=int, default=1_500 if on_cpu else LONG)
    parser.add_argument("--updates", type=int, default=1 if on_cpu else 3)
    parser.add_argument("--rounds", type=int, default=1 if on_cpu else 3)
    return parser.parse_args()


def describe_machine(device: str) -> None:
    card = torch.cuda.get_device_name() if device == "cuda" else "no card: the CPU"
    print(f"{platform.platform()}, {card}, torch {torch.__version__}")


def compare(case: Case, rounds: int, updates: int, ceiling: float) -> None:
    """Measure ours and the rival in turns, and print a row for each."""
    runs: dict[str, Callable[[], Result]] = {
        "ours": lambda: measure_ours(case, updates),
        "lean": lambda: measure_lean(case, updates),
    }
    results: dict[str, list[Result]] = {who: [] for who in runs}
    for turn in range(rounds):
        for who in sorted(runs, reverse=bool(turn % 2)):
            results[who].append(runs[who]())
            gc.collect()
            if case.device == "cuda":
                torch.cuda.empty_cache()
    speeds = {who: [result.speed for result in results[who]] for who in runs}
    flops = direct_flops(NETWORKS[case.network], case.envs, case.steps) / (case.envs * case.steps)
    for who, found in results.items():
        ratio = spread(speeds[who], speeds["lean"])
        speed = statistics.median(speeds[who])
        print(
            f"{case.network:8}{case.envs:>6}{case.steps:>6} {case.precision:10}{who:8}{speed:>12,.0f}{ratio:>24}"
            f"{speed * flops / ceiling:>8.2f}{_memory(found[-1])}"
        )
    print(f"    first layer: {results['ours'][0].plan}")


def _memory(result: Result) -> str:
    if not result.peak_bytes:
        return f"{'-':>11}{'-':>9}"
    ratio = f"{result.peak_bytes / result.closed_form:>9.2f}" if result.closed_form else f"{'-':>9}"
    return f"{result.peak_bytes / 1e6:>11,.0f}{ratio}"


def measure_ours(case: Case, updates: int) -> Result:
    with watch_memory(case.device) as memory:
        trainer = NativePPOTrainer(case.make_env(), case.config)
        run = trainer.train()
        next(run)
        speed = _time(case, updates, lambda: next(run))
    plan = trainer.first_layer
    form = closed_form(trainer, case)
    return Result(
        speed, memory(), form, f"rollout {plan.rollout}, minibatches {plan.minibatch}" if plan else ""
    )


def measure_lean(case: Case, updates: int) -> Result:
    device = torch.device(case.device)
    with watch_memory(case.device) as memory, Arithmetic(case.config.precision, device).products():
        loop = CleanRLLoop(MarketTensorEnvs(case.make_env()), case.config, case.device, lean=True)
        loop.update()
        speed = _time(case, updates, loop.update)
    return Result(speed, memory())


def _time(case: Case, updates: int, update: Callable[[], object]) -> float:
    _wait(case.device)
    started = time.perf_counter()
    for _ in range(updates):
        update()
    _wait(case.device)
    return updates * case.envs * case.steps / (time.perf_counter() - started)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


@contextmanager
def watch_memory(device: str) -> Iterator[Callable[[], int]]:
    """Gives a function that says how far the allocator's peak rose above what was allocated before; 0 on a CPU."""
    if device != "cuda":
        yield lambda: 0
        return
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    yield lambda: torch.cuda.max_memory_allocated() - before


def closed_form(trainer: NativePPOTrainer, case: Case) -> int:
    """The estimate's sum of all tensors for this run, in the way that a job's plan asks for it."""
    env = trainer.env
    assert isinstance(env, StaggeredEnv)
    held = (
        env.market.features_TF,
        env.market.open_T,
        env.market.close_T,
        env.market.sigma_T,
        env.market.natr_T,
    )
    plan = RunPlan(
        device_type="cuda" if case.device == "cuda" else "cpu",
        rollout_bytes_per_step=INDEX_BYTES,
        windows=describe(env.windows),
        sliding_row_bytes=4 * len(env.market.schema.account),
        episode_length=EPISODE,
        # Beside these three numbers a bar: bars of a year, where an episode may start, where it must end.
        dataset_bytes=sum(tensor.nbytes for tensor in held) + 24 * case.bars,
    )
    return run_memory(trainer.network.shape, trainer.config, plan).tensor_bytes


def count_waits(case: Case) -> str:
    """Host waits of one update and of one with twice the steps and epochs, and where they were."""
    if case.device != "cuda":
        return "not counted on a CPU"
    once, where = _waits(case, case.config)
    longer = replace(case.config, num_steps=2 * case.steps, update_epochs=2 * case.config.update_epochs)
    twice, _ = _waits(case, longer)
    verdict = "none in the loops" if once == twice else "SOME IN THE LOOPS"
    return f"{once} an update, {twice} with twice the steps and epochs: {verdict} ({', '.join(where)})"


def _waits(case: Case, config: PPOConfig) -> tuple[int, list[str]]:
    run = NativePPOTrainer(case.make_env(), config).train()
    next(run)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            next(run)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [warning for warning in caught if SYNC_WARNING in str(warning.message)]
    return len(waits), sorted({f"{Path(wait.filename).name}:{wait.lineno}" for wait in waits})


if __name__ == "__main__":
    main()
