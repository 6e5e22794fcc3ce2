"""Two processes against one with the joined batch, update by update."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from app.errors import InvalidConfig
from tests.worker.ppo.two_processes import ENVS, SCENARIOS, UPDATES, make_batch, make_config
from worker.ppo.config import PPOConfig
from worker.ppo.distributed import World, fill_buckets
from worker.ppo.env import EnvStep
from worker.ppo.network import NativeActorCritic, SampledActions
from worker.ppo.rollout import RolloutBuffer
from worker.ppo.trainer import NativePPOTrainer

SCRIPT = Path(__file__).with_name("two_processes.py")
ROOT = Path(__file__).parents[3]
PROCESSES = 2


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what both processes have written."""
    folder = tmp_path_factory.mktemp("distributed")
    torch.save(
        NativePPOTrainer(make_batch("plain", ENVS), make_config("plain")).state_dict(), folder / "alone.pt"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, f"--nproc-per-node={PROCESSES}", str(SCRIPT), str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-10_000:]
    return folder


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        return {path: value}
    return {k: v for key, item in items for k, v in flatten(item, f"{path}/{key}").items()}


class JoinedMarket:
    """Both processes' market environments as one: unlike Gymnasium's they draw episodes from one generator."""

    num_envs = ENVS

    def __init__(self) -> None:
        self.shares = [make_batch("market", ENVS // PROCESSES) for _ in range(PROCESSES)]
        for name in ("obs_dim", "action_dim", "action_kind", "device", "windows", "rest", "materialise"):
            setattr(self, name, getattr(self.shares[0], name))

    def reset(self, seed: int) -> dict[str, Tensor]:
        for rank, share in enumerate(self.shares):
            share.reset(World(rank, PROCESSES).env_seed(seed, share.num_envs))
        return self.observe()

    def observe(self) -> dict[str, Tensor]:
        return join_parts([share.observe() for share in self.shares])

    def step(self, actions: Tensor) -> EnvStep:
        steps = [share.step(own) for share, own in zip(self.shares, actions.chunk(PROCESSES), strict=True)]
        flags = ("reward_N", "terminated_N", "truncated_N")
        columns = (torch.cat([getattr(step, name) for step in steps]) for name in flags)
        return EnvStep(
            join_parts([step.parts for step in steps]),
            *columns,
            join_parts([step.final_parts for step in steps]),
        )

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None:
        raise NotImplementedError


def join_parts(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([each[name] for each in parts]) for name in parts[0]}


class JoinedTrainer(NativePPOTrainer):
    """One process with all environments, that draws the numbers which the processes draw one by one."""

    def __init__(self, scenario: str) -> None:
        env: Any = JoinedMarket() if scenario == "market" else make_batch(scenario, ENVS)
        super().__init__(env, make_config(scenario), World())
        self.generators = [self.advanced_generator(World(rank, PROCESSES)) for rank in range(PROCESSES)]
        self.network.act = self.act  # type: ignore[method-assign]
        self._learner._shuffled = self.shuffled  # type: ignore[method-assign]

    def advanced_generator(self, world: World) -> Generator:
        generator = Generator().manual_seed(world.sampling_seed(self.config.seed))
        NativeActorCritic(self.network.shape, generator=generator)  # its weights come first
        return generator

    def act(self, observed: Any, generator: Generator | None = None) -> SampledActions:
        outputs_BA, value_B = self.network(observed)
        shares = zip(outputs_BA.chunk(PROCESSES), self.generators, strict=True)
        actions = torch.cat([self.network.distribution(share).sample(own) for share, own in shares])
        distribution = self.network.distribution(outputs_BA)
        return SampledActions(actions, distribution.log_prob(actions), distribution.entropy(), value_B)

    def shuffled(self, buffer: RolloutBuffer, generator: Generator) -> Any:
        envs, steps = ENVS // PROCESSES, buffer.num_steps
        orders = [torch.randperm(steps * envs, generator=own) for own in self.generators]
        parts = [order.split(self.config.minibatch_size // PROCESSES) for order in orders]
        for minibatch in zip(*parts, strict=True):
            yield torch.cat([b // envs * ENVS + rank * envs + b % envs for rank, b in enumerate(minibatch)])


def assert_close(left: Tensor, right: Tensor, name: str) -> None:
    """Equal but for fp32 rounding, which goes by the tensor's largest entry: sums over samples cancel."""
    assert left.dtype == right.dtype, name
    assert (left - right).abs().max() <= 2e-5 * right.abs().max(), name


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_processes_do_the_update_of_one_with_the_joined_batch(trained: Path, scenario: str) -> None:
    joined = JoinedTrainer(scenario)
    expected = list(joined.train())
    state, want = load(trained / f"{scenario}-0.pt"), joined.state_dict()
    for name, value in want["policy_state_dict"].items():
        assert_close(state["state"]["policy_state_dict"][name], value, name)
    moments, expected_moments = state["state"]["optimizer_state_dict"], want["optimizer_state_dict"]
    assert moments["state"].keys() == expected_moments["state"].keys()
    for index, entry in expected_moments["state"].items():
        assert moments["state"][index]["step"] == entry["step"]
        for moment in ("exp_avg", "exp_avg_sq"):
            assert_close(moments["state"][index][moment], entry[moment], f"{index}/{moment}")
    assert_same_figures(state["progress"], [progress.plain() for progress in expected])
    shared = {k: v for k, v in state["state"]["trainer_state"].items() if k != "ranks"}
    assert {"update", "global_step"} <= shared.keys()
    for name, value in shared.items():
        assert_close(value, want["trainer_state"][name], name)


def assert_same_figures(seen: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(seen) == len(expected) == UPDATES
    for one, other in zip(seen, expected, strict=True):
        timeless = [{k: v for k, v in each.items() if k != "steps_per_second"} for each in (one, other)]
        assert timeless[0] == pytest.approx(timeless[1], rel=1e-3, abs=1e-5)


def test_normalisation_and_early_stop_were_at_work(trained: Path) -> None:
    normalised = load(trained / "normalised-0.pt")["state"]["trainer_state"]
    assert normalised["obs_count"] == normalised["return_count"] == ENVS * 16 * UPDATES
    steps = load(trained / "stopped-0.pt")["state"]["optimizer_state_dict"]["state"][0]["step"].item()
    assert 4 * UPDATES <= steps < 4 * 4 * UPDATES
    assert steps % 4 == 0
    rates = [progress["learning_rate"] for progress in load(trained / "gaussian-0.pt")["progress"]]
    assert len(set(rates)) > 1
    assert load(trained / "plain-0.pt")["progress"][-1]["episodes"] > 0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_all_processes_hold_the_same_bits_and_say_the_same(trained: Path, scenario: str) -> None:
    first, second = (load(trained / f"{scenario}-{rank}.pt") for rank in range(PROCESSES))
    left, right = flatten(first["state"]), flatten(second["state"])
    assert left.keys() == right.keys()
    for path, value in left.items():
        assert torch.equal(value, right[path]) if isinstance(value, Tensor) else value == right[path], path
    for one, other in zip(first["progress"], second["progress"], strict=True):
        assert {k: v for k, v in one.items() if k != "steps_per_second"} == {
            k: v for k, v in other.items() if k != "steps_per_second"
        }


def test_the_processes_see_different_episodes_and_draw_different_numbers(trained: Path) -> None:
    ranks = load(trained / "plain-0.pt")["state"]["trainer_state"]["ranks"]
    assert len(ranks) == PROCESSES
    assert not torch.equal(ranks[0]["cpu_rng_state"], ranks[1]["cpu_rng_state"])
    assert not torch.equal(ranks[0]["env"]["observation"], ranks[1]["env"]["observation"])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_resume_is_bit_identical_with_as_many_processes(trained: Path, scenario: str) -> None:
    for rank in range(PROCESSES):
        told = load(trained / f"{scenario}-{rank}.pt")
        left, right = flatten(told["state"]), flatten(told["resumed"])
        assert left.keys() == right.keys()
        for path, value in left.items():
            assert torch.equal(value, right[path]) if isinstance(value, Tensor) else value == right[path], (
                path
            )
        losses = [
            [(p["policy_loss"], p["value_loss"], p["grad_norm"]) for p in part]
            for part in (told["progress"][1:], told["again"])
        ]
        assert losses[0] == losses[1]


def test_another_number_of_processes_is_refused(trained: Path) -> None:
    trainer = NativePPOTrainer(make_batch("plain", ENVS), make_config("plain"))
    before = flatten(trainer.state_dict()["policy_state_dict"])
    copies = {name: value.clone() for name, value in before.items()}
    with pytest.raises(InvalidConfig, match=r"saved by 2 processes, .* continued by one process") as refusal:
        trainer.load_state_dict(load(trained / "plain-first-0.pt"))
    assert refusal.value.pointer == "trainer_state.ranks"
    assert all(torch.equal(value, copies[name]) for name, value in before.items())


def test_what_two_processes_refuse(trained: Path) -> None:
    for rank in range(PROCESSES):
        said = load(trained / f"refused-{rank}.pt")
        pointers = [pointer for pointer, _ in said]
        assert pointers == ["trainer_state.ranks", "num_envs", "num_minibatches", "oom_retry", "num_envs"]
        assert "saved by one process" in said[0][1]
        assert "num_envs=7 cannot be shared equally by 2 processes" in said[1][1]
        assert "holds 3 environments" in said[4][1]
        assert "4 for each of 2 processes" in said[4][1]


def test_what_one_process_wants_all_hear(trained: Path) -> None:
    assert [load(trained / f"wanted-{rank}.pt") for rank in range(PROCESSES)] == [[False, True, True]] * 2


def test_one_process_alone_joins_nothing() -> None:
    world, tensor = World(), torch.arange(6.0)
    assert World.find() == world
    assert world.join(tensor) is tensor
    assert world.mean(tensor) is tensor
    assert torch.equal(world.own(tensor), tensor)
    assert world.variance(tensor).item() == pytest.approx(35 / 12)
    assert world.share(PPOConfig(num_envs=7)) == PPOConfig(num_envs=7)
    assert (world.sampling_seed(9), world.env_seed(9, 4)) == (9, 9)
    assert [world.any(wanted=flag) for flag in (True, False)] == [True, False]
    assert world.gather_states({"a": 1}) == [{"a": 1}]


def test_neighbouring_seeds_share_no_numbers() -> None:
    seeds = [World(rank, 8).sampling_seed(seed) for seed in range(20) for rank in range(8)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_buckets_keep_the_order_and_the_limit() -> None:
    tensors = [torch.zeros(size) for size in (2, 3, 10, 1, 1, 1)]
    buckets = list(fill_buckets(tensors, 20))
    assert [[tensor.numel() for tensor in bucket] for bucket in buckets] == [[2, 3], [10], [1, 1, 1]]
    assert list(fill_buckets([], 20)) == []
