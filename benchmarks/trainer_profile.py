"""Where the time of an update goes: a table by part of rollout and learning, with FLOP/s of its products.

    python benchmarks/trainer_profile.py [--network Medium] [--bars 20000] [--first-layer auto] [--clock wall]

Parts are timed by a stopwatch that is hung into the trainer's own functions: time spent in an inner part is not
counted in the outer one, so that the shares add up to 1. Within backward, hooks on the gradients of the
heads' outputs, of the latent and of the preactivations mark where one part ends and the next begins. Products are
counted in an update of their own, as counting costs time. Every update is one of the real trainer.
`--clock cpu` counts processor seconds of all threads, which other processes on the machine disturb less: to be used
with OMP_NUM_THREADS=1.
"""

import argparse
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.network.config import PPOConfig
from benchmarks.products import ProductCounter, measure_peak
from benchmarks.throughput import LONG, NETWORKS
from benchmarks.worlds import make_env, make_market
from worker.ppo import learn
from worker.ppo.allocator import keep_freed_memory
from worker.ppo.collect import Collector
from worker.ppo.distribution import Categorical
from worker.ppo.learn import Learner
from worker.ppo.network import NativeActorCritic, Preactivations
from worker.ppo.rollout import RolloutBuffer
from worker.ppo.trainer import NativePPOTrainer
from worker.ppo.windowed_observer import WindowedObserver
from worker.trading.env import TradingEnv

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
ROLLOUT, UPDATE = "rollout", "learning"

PARTS: tuple[tuple[Any, str, str], ...] = (
    (TradingEnv, "step", "environment"),
    (RolloutBuffer, "store_decision", "buffer"),
    (RolloutBuffer, "store_outcome", "buffer"),
    (RolloutBuffer, "finish", "advantages"),
    (RolloutBuffer, "minibatch", "gather"),
    *((WindowedObserver, name, "first layer, forward") for name in ("for_values", "for_learning")),
    (WindowedObserver, "begin_rollout", "first layer, ahead"),
    (WindowedObserver, "begin_learning", "first layer, prepare"),
    (Categorical, "sample", "sampling"),
    (Categorical, "log_prob", "log probability, entropy"),
    (Categorical, "entropy", "log probability, entropy"),
    *((learn, name, "loss, forward") for name in ("clipped_surrogate", "value_loss", "normalise_advantages")),
    *((learn, name, "figures") for name in ("approx_kl", "clip_fraction", "explained_variance")),
    (nn.utils, "clip_grad_norm_", "gradient clip"),
    (torch.optim.Adam, "step", "Adam"),
    (torch.Tensor, "backward", "loss, backward"),
)
"""Where a part's function is found -> the part. Inner parts are taken out of outer ones."""


class Stopwatch:
    """Seconds and FLOPs by part; a part begun within another interrupts it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = defaultdict(float)
        self.flops: dict[str, int] = defaultdict(int)
        self.counter: ProductCounter | None = None
        self._stack: list[str] = []
        self._stage = ""
        self._mark = (0.0, 0)

    def begin(self, part: str) -> None:
        """Interrupt the present part."""
        self._settle()
        self._stack.append(f"{self._stage}|{part}")

    def end(self) -> None:
        """Go on with the part that was interrupted."""
        self._settle()
        self._stack.pop()

    def switch(self, part: str) -> None:
        """From here on the present part is another."""
        self._settle()
        self._stack[-1] = f"{self._stage}|{part}"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Rollout or learning; what no part takes is its rest."""
        self._stage = name
        self.begin("rest")
        yield
        self.end()

    def wrap(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The function, timed; outside of the stages as it is."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if not self._stack:
                return function(*args, **kwargs)
            self.begin(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.end()

        return timed

    def _settle(self) -> None:
        now = (self._clock(), self.counter.flops if self.counter else 0)
        if self._stack:
            self.seconds[self._stack[-1]] += now[0] - self._mark[0]
            self.flops[self._stack[-1]] += now[1] - self._mark[1]
        self._mark = now


def main() -> None:
    options = _parse()
    if options.allocator == "kept":
        keep_freed_memory()
    peak = measure_peak(clock=CLOCKS[options.clock])
    trainer = make_trainer(options)
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads, {options.clock} clock, torch {torch.__version__}, "
        f"load average {os.getloadavg()[0]:.1f}, sgemm peak {peak / 1e9:.0f} GFLOP/s\n"
        f"{options.network}, {options.envs} x {options.steps}, {options.bars:,} bars, {options.precision}, {options.allocator} memory\n{_describe(trainer)}"
    )
    timed, counted = profile(trainer, options.updates, CLOCKS[options.clock])
    show(timed, counted, options.updates, options.envs * options.steps, peak)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="Medium", choices=list(NETWORKS))
    parser.add_argument("--bars", type=int, default=LONG)
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--first-layer", default="auto", choices=("auto", "direct", "table", "convolution"))
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument(
        "--allocator", default="kept", choices=("kept", "plain"), help="plain: glibc's defaults"
    )
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    return parser.parse_args()


def make_trainer(options: argparse.Namespace) -> NativePPOTrainer:
    """Ours, as benchmarks/throughput.py runs it."""
    config = PPOConfig(
        hidden_dims=NETWORKS[options.network],
        total_timesteps=(options.updates + 2) * options.envs * options.steps,
        num_envs=options.envs,
        num_steps=options.steps,
        first_layer=options.first_layer,
        precision=options.precision,
    )
    return NativePPOTrainer(make_env(make_market(options.bars), options.envs), config)


def profile(
    trainer: NativePPOTrainer, updates: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[Stopwatch, Stopwatch]:
    """Times of `updates` updates in sum, and the products of one; the first update warms up."""
    run = trainer.train()
    next(run)
    timed, counted = Stopwatch(clock), Stopwatch()
    with instrument(timed, trainer.network):
        for _ in range(updates):
            next(run)
    with ProductCounter() as counter, instrument(counted, trainer.network):
        counted.counter = counter
        next(run)
    return timed, counted


@contextmanager
def instrument(watch: Stopwatch, network: NativeActorCritic) -> Iterator[None]:
    """Hang the stopwatch into the trainer, and take it out again."""
    with ExitStack() as stack:
        for owner, name, part in PARTS:
            stack.enter_context(mock.patch.object(owner, name, watch.wrap(getattr(owner, name), part)))
        for owner, name, stage in ((Collector, "collect", ROLLOUT), (Learner, "learn", UPDATE)):
            stack.enter_context(mock.patch.object(owner, name, _stage(watch, getattr(owner, name), stage)))
        split = WindowedObserver.for_learning
        stack.enter_context(
            mock.patch.object(WindowedObserver, "for_learning", _mark_gradients(watch, split))
        )
        for handle in _hook(watch, network):
            stack.callback(handle.remove)
        yield


def _stage(watch: Stopwatch, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def staged(*args: Any, **kwargs: Any) -> Any:
        with watch.stage(name):
            return function(*args, **kwargs)

    return staged


def _hook(watch: Stopwatch, network: NativeActorCritic) -> Iterator[Any]:
    """Time the modules' forward passes, and mark the beginnings of their backward ones."""
    for name, child in network.named_children():
        part = "heads" if name in ("actor", "critic") else "trunk"
        for module in (child,) if part == "heads" else child.children():
            yield module.register_forward_pre_hook(_begin(watch, f"{part}, forward"))
            yield module.register_forward_hook(_end(watch, f"{part}, backward", part == "heads"))
        if part == "heads":
            yield child.register_forward_pre_hook(_mark_input(watch))


def _begin(watch: Stopwatch, part: str) -> Callable[..., None]:
    return lambda *_: watch.begin(part)


def _end(watch: Stopwatch, backward: str, marked: bool) -> Callable[..., None]:  # noqa: FBT001
    def ended(_module: Any, _inputs: Any, output: Tensor) -> None:
        watch.end()
        if marked and output.requires_grad:
            output.register_hook(lambda _: watch.switch(backward))

    return ended


def _mark_input(watch: Stopwatch) -> Callable[..., None]:
    def begun(_module: Any, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].requires_grad:
            inputs[0].register_hook(lambda _: watch.switch("trunk, backward"))

    return begun


def _mark_gradients(watch: Stopwatch, function: Callable[..., Any]) -> Callable[..., Any]:
    """Where the preactivations' gradient is there, the first layer's backward begins."""

    def marked(*args: Any, **kwargs: Any) -> Preactivations:
        observed: Preactivations = function(*args, **kwargs)
        for preactivation in observed.of_trunks:
            preactivation.register_hook(lambda _: watch.switch("first layer, backward"))
        return observed

    return marked


def _describe(trainer: NativePPOTrainer) -> str:
    return f"first layer: {trainer.first_layer.reason if trainer.first_layer else 'materialised'}"


def show(timed: Stopwatch, counted: Stopwatch, updates: int, samples: int, peak: float) -> None:
    """Milliseconds of an update by part, shares, and how fast its products are."""
    total = sum(timed.seconds.values())
    print(
        f"{total / updates:.3f} s an update, {samples * updates / total:,.0f} env-steps/s with the stopwatch"
    )
    print(f"{'':9}{'part':28}{'ms':>10}{'share':>8}{'GFLOP':>9}{'GFLOP/s':>9}{'of peak':>9}")
    rows = [(timed.seconds[key] / updates, counted.flops[key], *key.split("|")) for key in timed.seconds]
    for stage in (ROLLOUT, UPDATE):
        for seconds, flops, _, part in sorted((row for row in rows if row[2] == stage), reverse=True):
            _print_row(stage, part, seconds, seconds * updates / total, flops, peak)
    flops = sum(counted.flops.values())
    _print_row("", "total", total / updates, 1.0, flops, peak)


def _print_row(stage: str, part: str, seconds: float, share: float, flops: int, peak: float) -> None:
    rate = flops / seconds
    products = f"{flops / 1e9:>9.2f}{rate / 1e9:>9.1f}{rate / peak:>9.2f}" if flops else ""
    print(f"{stage:9}{part:28}{1e3 * seconds:>10.1f}{share:>8.1%}{products}")


if __name__ == "__main__":
    main()
