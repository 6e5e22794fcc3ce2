"""The trainer as a plain library, in a process that has nothing of the service."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

FOREIGN = ("celery", "kombu", "redis", "sqlalchemy", "polars", "pydantic", "fastapi", "starlette")

USE = """
from worker.ppo import NativePPOTrainer, PPOConfig
from worker.ppo.gymnasium_adapter import GymnasiumBatch

config = PPOConfig(total_timesteps=128, num_envs=4, num_steps=16)
config.hidden_dims = (16, 8)
trainer = NativePPOTrainer(GymnasiumBatch("CartPole-v1", 4), config)
for progress in trainer.train():
    print(progress.update, progress.global_step, progress.policy_loss)
trainer.state_dict()
"""

LIST_FOREIGN = f"""
import sys
loaded = sorted(set(name.partition(".")[0] for name in sys.modules) & set({FOREIGN!r}))
print("foreign", loaded)
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training_is_a_library_call_and_loads_no_service() -> None:
    lines = run(USE + LIST_FOREIGN).splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["1", "64"], ["2", "128"]]
    assert lines[-1] == "foreign []"


@pytest.mark.parametrize("module", ["worker.ppo", "worker.ppo.env"])
def test_importing_the_trainer_loads_neither_service_nor_gymnasium(module: str) -> None:
    probe = f"import {module}\n{LIST_FOREIGN}\nprint('gymnasium' in sys.modules)"
    assert run(probe).splitlines() == ["foreign []", "False"]


def test_the_probe_sees_what_is_loaded() -> None:
    assert "sqlalchemy" in run("import sqlalchemy\n" + LIST_FOREIGN)
