"""Learning per sample: ours and stable-baselines3 with the same hyperparameters, several seeds, quantiles.

    python benchmarks/learning.py [--seeds 5] [--tasks cartpole acrobot …] [--processes 2] [--kept FILE]

Both trainers step the same Gymnasium environments; a wrapper in the environment notes every episode's return,
so that both are counted alike. `final` is the mean return of a run's last 100 training episodes (actions still
drawn, as the field's tables report it), `area` the mean over all its steps of the return of the episode that the
step belongs to: learning speed. Quartiles are over seeds. A row passes where our upper quartile reaches
stable-baselines3's lower one, in both figures. Seeds fix the outcome: load on the machine does not matter, and a run
that is in the file `--kept` is not repeated.

stable-baselines3 has no factor 1/2 in its value loss, so its vf_coef is half of ours. Its value clipping is another
(the clipped error alone; ours, as CleanRL, the larger of both): against it both run without, as is its default. Where the
published figure is CleanRL's, `clipped` is ours with CleanRL's value clipping, as that figure was made.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.network.config import PPOConfig

Run = tuple[str, str, int]
"""Task, who, seed."""

Results = dict[Run, tuple[float, float]]

CLEANRL = PPOConfig(
    hidden_dims=(64,), shared_trunk=False, total_timesteps=500_000, num_envs=4, num_steps=128, seed=0
)
"""CleanRL's ppo.py: two layers of 64 for each of actor and critic; the second is our head's."""

ZOO_CARTPOLE = replace(
    CLEANRL,
    total_timesteps=100_000,
    num_envs=8,
    num_steps=32,
    num_minibatches=1,
    update_epochs=20,
    gamma=0.98,
    gae_lambda=0.8,
    learning_rate=1e-3,
    anneal_clip=True,
    clip_vloss=False,
    ent_coef=0.0,
)

ZOO_PENDULUM = replace(
    CLEANRL,
    total_timesteps=200_000,
    num_steps=1_024,
    num_minibatches=64,
    update_epochs=10,
    gamma=0.9,
    learning_rate=1e-3,
    anneal_lr=False,
    clip_vloss=False,
    ent_coef=0.0,
)


@dataclass(frozen=True)
class Task:
    """An environment with the settings under which its results are known."""

    env_id: str
    config: PPOConfig
    published: str


TASKS = {
    "cartpole": Task("CartPole-v1", CLEANRL, "CleanRL 490.04 ± 6.12"),
    "acrobot": Task("Acrobot-v1", CLEANRL, "CleanRL -86.36 ± 1.32"),
    "mountaincar": Task("MountainCar-v0", CLEANRL, "CleanRL -200.00 ± 0.00"),
    "cartpole-zoo": Task("CartPole-v1", ZOO_CARTPOLE, "SB3 zoo 500"),
    "pendulum": Task("Pendulum-v1", ZOO_PENDULUM, "SB3 zoo -172 (with gSDE)"),
}


def contestants(task: str) -> tuple[str, ...]:
    """Who trains on a task."""
    return ("ours", "clipped", "sb3") if TASKS[task].config.clip_vloss else ("ours", "sb3")


@dataclass
class Noted(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Notes each episode's return and length in a list that all environments of a run share."""

    env: gymnasium.Env[Any, Any]
    episodes: list[tuple[float, int]]
    total: float = field(default=0.0, init=False)
    steps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        super().__init__(self.env)

    def step(self, action: Any) -> Any:
        """Step, and note an episode that ended."""
        answer = self.env.step(action)
        self.total += float(answer[1])
        self.steps += 1
        if answer[2] or answer[3]:
            self.episodes.append((self.total, self.steps))
            self.total, self.steps = 0.0, 0
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--kept", type=Path, help="results are added to this JSON file, and taken from it")
    asked = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "stable-baselines3", "gymnasium"))
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {versions}, "
        f"{asked.seeds} seeds"
    )
    wanted = [
        (task, who, seed)
        for task in asked.tasks
        for seed in range(1, asked.seeds + 1)
        for who in contestants(task)
    ]
    _print_table(asked.tasks, asked.seeds, _run_all(wanted, asked.processes, asked.kept))


def _run_all(wanted: list[Run], processes: int, kept: Path | None) -> Results:
    """Every run that is not kept, in a process of its own with one thread, the trainers in turns."""
    results = _read(kept)
    missing = [run for run in wanted if run not in results]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        for run, result in zip(missing, pool.map(_run, missing), strict=True):
            results[run] = result
            _write(kept, results)
    for run in wanted:
        final, area = results[run]
        print(f"  {run[0]:13} {run[1]:7} seed {run[2]}  final {final:9.2f}  area {area:9.2f}")
    return results


def _read(kept: Path | None) -> Results:
    if kept is None or not kept.exists():
        return {}
    rows = json.loads(kept.read_text())
    return {(task, who, seed): (final, area) for task, who, seed, final, area in rows}


def _write(kept: Path | None, results: Results) -> None:
    if kept is not None:
        kept.write_text(json.dumps([(*run, *result) for run, result in results.items()], indent=0))


def _run(run: Run) -> tuple[float, float]:
    name, who, seed = run
    task = TASKS[name]
    if who != "clipped":
        task = replace(task, config=replace(task.config, clip_vloss=False))
    episodes = _train_sb3(task, seed) if who == "sb3" else _train_ours(task, seed)
    returns, lengths = np.array(episodes).T
    return float(returns[-100:].mean()), float((returns * lengths).sum() / lengths.sum())


def _train_ours(task: Task, seed: int) -> list[tuple[float, int]]:
    from worker.ppo.gymnasium_adapter import GymnasiumBatch  # noqa: PLC0415 - torch in the child alone
    from worker.ppo.trainer import NativePPOTrainer  # noqa: PLC0415

    episodes: list[tuple[float, int]] = []
    env = GymnasiumBatch(lambda: Noted(gymnasium.make(task.env_id), episodes), task.config.num_envs)
    for _ in NativePPOTrainer(env, replace(task.config, seed=seed)).train():
        pass
    return episodes


def _train_sb3(task: Task, seed: int) -> list[tuple[float, int]]:
    import torch  # noqa: PLC0415
    from stable_baselines3 import PPO  # noqa: PLC0415
    from stable_baselines3.common.vec_env import DummyVecEnv  # noqa: PLC0415

    torch.set_num_threads(1)
    config = task.config
    episodes: list[tuple[float, int]] = []
    env = DummyVecEnv([lambda: Noted(gymnasium.make(task.env_id), episodes)] * config.num_envs)
    model = PPO(
        "MlpPolicy",
        env,
        learning_rate=_schedule(config.learning_rate, annealed=config.anneal_lr),
        n_steps=config.num_steps,
        batch_size=config.minibatch_size,
        n_epochs=config.update_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=_schedule(config.clip_coef, annealed=config.anneal_clip),
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef / 2,
        max_grad_norm=config.max_grad_norm,
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
        device="cpu",
    )
    model.learn(config.num_updates * config.batch_size)
    return episodes


def _schedule(value: float, *, annealed: bool) -> Any:
    return (lambda remaining: value * remaining) if annealed else value


def _print_table(tasks: list[str], seeds: int, results: Results) -> None:
    heads = ("task", "who", "final q25", "median", "q75", "area q25", "median", "q75", "", "published")
    print(("\n{:13} {:7}" + " {:>9}" * 6 + "  {:7} {}").format(*heads))
    for task in tasks:
        quartiles = {
            who: _quartiles([results[task, who, seed] for seed in range(1, seeds + 1)])
            for who in contestants(task)
        }
        for who, (final, area) in quartiles.items():
            row = "".join(f" {value:9.2f}" for value in (*final, *area))
            verdict = _verdict(quartiles) if who == "ours" else ""
            published = TASKS[task].published if who == contestants(task)[-2] else ""
            print(f"{task:13} {who:7}{row}  {verdict:7} {published}")


def _quartiles(results: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    final, area = zip(*results, strict=True)
    return _quantile(final), _quantile(area)


def _quantile(values: tuple[float, ...]) -> list[float]:
    if len(values) == 1:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def _verdict(quartiles: dict[str, tuple[list[float], list[float]]]) -> str:
    pairs = zip(quartiles["ours"], quartiles["sb3"], strict=True)
    return "pass" if all(ours[2] >= theirs[0] for ours, theirs in pairs) else "worse"


if __name__ == "__main__":
    main()
