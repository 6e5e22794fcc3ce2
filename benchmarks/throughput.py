"""Training throughput: ours, stable-baselines3 and a CleanRL-style loop, in turns in one run.

    pip install -e '.[worker,benchmark]'
    python benchmarks/throughput.py [--networks Tiny Small …] [--rounds 3] [--minutes 11]

Market: 53 features of 100 bars (obs 5,300) of a random walk, 64 environments x 128 steps, 4 epochs of 4 shuffled
minibatches, fp32; all step the same environment (worlds.py; the rivals are handed whole windows) and train the same
network, layer for layer, with the same settings. Ours also runs on a short series, as its first layer
exploits that windows overlap: how much they do depends on the series' length. The rivals do the same
work on both and run on the long one, unless `--rivals-on-both` asks for the proof. CartPole has nothing to exploit.

Each measurement is a process of its own: same allocator settings (worker/ppo/allocator.py), same number of threads,
one warm-up update that does not count. A round measures everyone once, in an order that moves on by one each
round; ratios are taken within a round. `direct` is the share of the measured sgemm peak if the work is counted
as the textbook does it, `true` if the products are counted that were executed (torch's counter, products.py):
where the first layer is a convolution these are fewer. Peak memory is the process's own, interpreter and
imports included. `--clock cpu --threads 1` counts processor seconds, which other processes disturb less. No new round of a network begins if it would end after `--minutes`.

Differences that remain: sb3_ppo.py and cleanrl_loop.py say them at their top.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.network.config import PPOConfig  # noqa: E402 - the path is set above
from app.network.shape import NetworkShape  # noqa: E402
from app.network.timing.flops import count_flops  # noqa: E402

NETWORKS = {
    "Tiny": (256, 128, 64),
    "Small": (512, 256, 128),
    "Medium": (1024, 512, 256),
    "Large": (2048, 1024, 512, 256),
}
LONG, SHORT = 20_000, 2_500
UPDATES = {"Tiny": 2, "CartPole": 24}
"""Updates that a measurement lasts, where one would be too short."""
CARTPOLE: dict[str, Any] = {"task": "cartpole", "hidden": (64,), "learning_rate": 2.5e-3}
"""A trunk each of 64 and 64, as CleanRL and stable-baselines3 have it."""
RIVALS = {"sb3": "stable-baselines3", "cleanrl": "CleanRL-style"}

Answer = dict[str, Any]


@dataclass
class Race:
    """All measurements of one network, round after round."""

    name: str
    contenders: dict[str, Answer]
    """Name in the table -> what the child is to measure."""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    longest: float = 0.0
    """Seconds of the longest round so far."""

    def run_round(self, turn: int, options: argparse.Namespace) -> None:
        """Measure everyone once."""
        started = time.monotonic()
        names = list(self.contenders)
        place = turn % len(names)
        for name in names[place:] + names[:place]:
            case = {**self.contenders[name], "count": turn == 0 and self.name != "CartPole"}
            answer = measure(case, options.threads)
            self.answers.setdefault(name, []).append(answer)
            print(f"  {self.name:9}{name:26}{answer['steps_per_second']:>10,.0f} env-steps/s", flush=True)
        self.longest = max(self.longest, time.monotonic() - started)

    def speeds(self, name: str) -> list[float]:
        """Env-steps a second, by round."""
        return [answer["steps_per_second"] for answer in self.answers[name]]


def main() -> None:
    options = _parse()
    started = time.monotonic()
    describe_machine(options)
    races = list(_plan(options))
    peaks = []
    for turn in range(options.rounds):
        peaks.append(measure({"who": "peak", "clock": options.clock}, options.threads)["flops_per_second"])
        for race in races:
            elapsed = time.monotonic() - started
            if turn == 0 or elapsed + race.longest <= 60 * options.minutes:
                race.run_round(turn, options)
    print(
        f"\nsgemm peak, the highest of {len(peaks)} measurements: {max(peaks) / 1e9:,.0f} GFLOP/s "
        f"(lowest {min(peaks) / 1e9:,.0f}); {(time.monotonic() - started) / 60:.1f} minutes, "
        f"load average now {os.getloadavg()[0]:.1f}"
    )
    for race in races:
        show(race, max(peaks), options)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--networks", nargs="*", default=[*NETWORKS, "CartPole"], choices=[*NETWORKS, "CartPole"]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=11.0)
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="OMP_NUM_THREADS of every process"
    )
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--updates", type=int, help="updates that each measurement lasts")
    parser.add_argument("--bars", type=int, nargs=2, default=(LONG, SHORT), help="length of both series")
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"))
    parser.add_argument("--rivals-on-both", action="store_true", help="run them on the short series too")
    return parser.parse_args()


def describe_machine(options: argparse.Namespace) -> None:
    """The machine, the versions, and how busy it is."""
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "stable-baselines3", "gymnasium", "numpy")
    )
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, OMP_NUM_THREADS={options.threads}, {options.clock} clock, "
        f"Python {platform.python_version()}, {versions}, load average {os.getloadavg()[0]:.1f}"
    )


def _plan(options: argparse.Namespace) -> Iterator[Race]:
    """Who runs what: ours on both series, the rivals on the long one."""
    long, short = options.bars
    for name in options.networks:
        updates = options.updates or UPDATES.get(name, 1)
        base = {
            "envs": options.envs,
            "steps": options.steps,
            "updates": updates,
            "bars": long,
            "clock": options.clock,
        }
        if name == "CartPole":
            everyone = {"ours": "ours", **{label: who for who, label in RIVALS.items()}}
            yield Race(name, {label: {**base, **CARTPOLE, "who": who} for label, who in everyone.items()})
            continue
        base |= {"task": "market", "hidden": NETWORKS[name]}
        ours = {f"ours, {bars:,} bars": {**base, "who": "ours", "bars": bars} for bars in (long, short)}
        rivals = {label: {**base, "who": who} for who, label in RIVALS.items()}
        if options.rivals_on_both:
            rivals |= {
                f"{label}, short": {**base, "who": who, "bars": short} for who, label in RIVALS.items()
            }
        yield Race(name, {**ours, **rivals})


def measure(case: Answer, threads: int) -> Answer:
    """One measurement in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.throughput_child", json.dumps(case)]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def show(race: Race, peak: float, options: argparse.Namespace) -> None:
    """One table: speeds, ratios against each rival, shares of the peak, memory."""
    parameters = {answer["parameters"] for answers in race.answers.values() for answer in answers}
    assert len(parameters) == 1, f"the networks differ: {parameters}"
    rounds = len(next(iter(race.answers.values())))
    print(f"\n{race.name}: {parameters.pop():,} parameters, {rounds} rounds")
    print(
        f"{'':26}{'env-steps/s':>12}{'lowest':>9}{'highest':>9}"
        + "".join(f"{'x ' + label:>27}" for label in RIVALS.values())
        + (f"{'return':>9}" if race.name == "CartPole" else f"{'direct':>9}{'true':>7}")
        + f"{'peak MB':>9}{'of SB3':>8}"
    )
    for name in race.contenders:
        show_row(race, name, peak, options)
    plans = {name: answers[0].get("plan") for name, answers in race.answers.items()}
    for name, plan in plans.items():
        if plan:
            print(f"  {name}: {plan}")


def show_row(race: Race, name: str, peak: float, options: argparse.Namespace) -> None:
    speeds, answers = race.speeds(name), race.answers[name]
    print(f"{name:26}{statistics.median(speeds):>12,.0f}{min(speeds):>9,.0f}{max(speeds):>9,.0f}", end="")
    for label in RIVALS.values():
        print(f"{spread(speeds, race.speeds(label)):>27}", end="")
    if race.name == "CartPole":
        print(f"{statistics.median(answer['episode_return'] for answer in answers):>9.1f}", end="")
    else:
        direct, true = shares(race, name, peak, options)
        print(f"{direct:>9.2f}{true:>7.2f}", end="")
    memory = [answer["peak_bytes"] for answer in answers]
    of_sb3 = max(memory) / max(answer["peak_bytes"] for answer in race.answers[RIVALS["sb3"]])
    print(f"{max(memory) / 1e6:>9,.0f}{of_sb3:>8.2f}")


def spread(ours: list[float], theirs: list[float]) -> str:
    """Ratios within the rounds: median, lowest and highest."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def shares(race: Race, name: str, peak: float, options: argparse.Namespace) -> tuple[float, float]:
    """Median speed over the peak, in the textbook's operations and in those executed."""
    direct = direct_flops(race.contenders[name]["hidden"], options.envs, options.steps)
    counted = race.answers[name][0].get("flops") or direct
    updates = statistics.median(race.speeds(name)) / (options.envs * options.steps)
    return direct * updates / peak, counted * updates / peak


def direct_flops(hidden: tuple[int, ...], envs: int, steps: int) -> int:
    """Operations of one update when every sample's whole observation is multiplied."""
    config = PPOConfig(hidden_dims=hidden, num_envs=envs, num_steps=steps)
    return count_flops(NetworkShape(5_300, hidden, 3, "discrete"), config).per_update


if __name__ == "__main__":
    main()
