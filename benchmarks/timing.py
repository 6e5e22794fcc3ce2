"""Predicted against measured training time: `python benchmarks/timing.py [--minutes 5]`.

Calibrates this machine as `caliper calibrate` does, predicts the seconds of an update of the four networks
(observations of 53 features x 100 bars, the real trainer and environment as a job has them), and measures
them. Calibration and updates take turns, one of each network a round, so that what else happens on the machine hits
both alike; the first update of each network warms up (one epoch) and does not count. Medians over the rounds.

`before` is the prediction of the calibration's first turns, taken before any network ran; `predicted` that of all its turns.
`--clock processor --threads 1` counts processor seconds, which other work on the machine disturbs less: a
cross-check, not the goal itself. `--phases` shows where each predicted update goes.
"""

import os

# As the trainer of a job has it; read when torch loads OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.network.config import PPOConfig
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.timing.calibration import Calibration
from app.network.timing.training_time import TimeEstimate, estimate_time
from benchmarks.throughput import NETWORKS
from benchmarks.worlds import EPISODE, make_env, make_market
from worker.calibrate.calibrator import Calibrator
from worker.calibrate.turns import CLOCKS
from worker.ppo.allocator import keep_freed_memory
from worker.ppo.device import detect_device
from worker.ppo.observe import describe
from worker.ppo.progress import Progress
from worker.ppo.trainer import NativePPOTrainer

FIRST_TURNS = 5
ALLOWED = 0.10


@dataclass
class Contender:
    """A network in training."""

    name: str
    trainer: NativePPOTrainer
    plan: RunPlan
    updates: Iterator[Progress]
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def make(cls, name: str, options: argparse.Namespace, most_updates: int) -> "Contender":
        """The network as a job trains it, on a market of its own."""
        env = make_env(make_market(options.bars), options.envs)
        config = PPOConfig(
            hidden_dims=NETWORKS[name],
            total_timesteps=most_updates * options.envs * options.steps,
            num_envs=options.envs,
            num_steps=options.steps,
            precision=options.precision,
        )
        trainer = NativePPOTrainer(env, config)
        plan = RunPlan(
            device_type="cpu",
            windows=describe(env.windows),
            sliding_row_bytes=5 * 4,
            episode_length=EPISODE,
        )
        return cls(name, trainer, plan, trainer.train())

    def predict(self, calibration: Calibration) -> TimeEstimate:
        """What the model says of this network."""
        config = self.trainer.config
        shape = NetworkShape(self.trainer.env.obs_dim, config.hidden_dims, self.trainer.env.action_dim)
        return estimate_time(shape, config, self.plan, calibration)

    def warm_up(self) -> None:
        """One short update."""
        epochs, self.trainer.config.update_epochs = self.trainer.config.update_epochs, 1
        next(self.updates)
        self.trainer.config.update_epochs = epochs

    def measure(self, clock: Callable[[], float]) -> None:
        """One update."""
        started = clock()
        next(self.updates)
        self.seconds.append(clock() - started)


def main() -> int:
    options = _parse()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    started = time.monotonic()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, {options.threads} threads, {options.clock} clock, "
        f"torch {torch.__version__}, load average {os.getloadavg()[0]:.1f}\n"
        f"{options.envs} environments x {options.steps} steps, {options.bars:,} bars, {options.precision}, "
        "4 epochs of 4 minibatches"
    )
    calibrator = Calibrator(detect_device(), options.clock)
    for _ in calibrator.run(FIRST_TURNS):
        pass
    before = calibrator.result()
    print(f"calibrated in {before.seconds:.1f} s: {before.load}")
    contenders = [Contender.make(name, options, options.rounds + 2) for name in options.networks]
    for contender in contenders:
        contender.warm_up()
    rounds = _measure(calibrator, contenders, options, started)
    return _show(before, calibrator.result(), contenders, rounds, options, time.monotonic() - started)


def _measure(
    calibrator: Calibrator, contenders: list[Contender], options: argparse.Namespace, started: float
) -> int:
    """Rounds of a turn of calibration and an update of each network, as many as fit."""
    longest = 0.0
    for turn in range(options.rounds):
        begun = time.monotonic()
        if turn and begun - started + longest > 60 * options.minutes:
            return turn
        calibrator.take()
        for contender in contenders:
            contender.measure(CLOCKS[options.clock])
        longest = max(longest, time.monotonic() - begun)
    return int(options.rounds)


def _show(
    before: Calibration,
    after: Calibration,
    contenders: list[Contender],
    rounds: int,
    options: argparse.Namespace,
    seconds: float,
) -> int:
    print(f"{rounds} rounds in {seconds / 60:.1f} minutes; {after.load}")
    print(
        f"{'network':8}{'measured s':>11}{'lowest':>9}{'highest':>9}{'predicted s':>13}{'range':>18}{'error':>8}"
        f"{'before s':>10}{'error':>8}{'steps/s':>9}{'predicted':>10}"
    )
    worst = 0.0
    for contender in contenders:
        worst = max(worst, _show_row(contender, before, after, options))
    verdict = "within" if worst <= ALLOWED else "BEYOND"
    print(f"worst error {worst:.1%}, {verdict} the goal of {ALLOWED:.0%}")
    if options.phases:
        for contender in contenders:
            _show_phases(contender, after)
    return 0 if worst <= ALLOWED else 1


def _show_row(
    contender: Contender, before: Calibration, after: Calibration, options: argparse.Namespace
) -> float:
    measured = statistics.median(contender.seconds)
    predicted, earlier = contender.predict(after), contender.predict(before)
    update = predicted.seconds_per_update
    likely, first = update.likely or 0.0, earlier.seconds_per_update.likely or 0.0
    error, steps = likely / measured - 1, options.envs * options.steps
    span = f"{update.low:.2f} to {update.high:.2f}"
    print(
        f"{contender.name:8}{measured:>11.3f}{min(contender.seconds):>9.3f}{max(contender.seconds):>9.3f}"
        f"{likely:>13.3f}{span:>18}{error:>+8.1%}{first:>10.3f}{first / measured - 1:>+8.1%}"
        f"{steps / measured:>9,.0f}{steps / likely:>10,.0f}"
    )
    return abs(error)


def _show_phases(contender: Contender, calibration: Calibration) -> None:
    print(f"\n{contender.name}, predicted")
    for phase in contender.predict(calibration).phases:
        rate = phase.flops / phase.seconds / 1e9 if phase.seconds else 0.0
        print(
            f"  {phase.name:42}{1e3 * (phase.seconds or 0):>10.1f} ms{phase.share or 0:>8.1%}"
            f"{phase.flops / 1e9:>9.2f} GFLOP{rate:>8.1f} GFLOP/s"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--bars", type=int, default=20_000)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--minutes", type=float, default=5.0, help="no new round begins that would end later")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--phases", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
