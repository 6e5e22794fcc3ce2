"""What a job needs before and after its updates, by hand."""

from dataclasses import replace

from app.network.config import PPOConfig
from app.network.memory.job_memory import JobData, judging_bytes, making_bytes
from app.network.memory.run_memory import run_memory
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape

SHAPE, CONFIG = NetworkShape(5300, (64, 64)), PPOConfig(hidden_dims=(64, 64), num_envs=4, num_steps=16)
DATA = JobData(bars=1_500_000, longest=1_000_000, lanes=1_000)
MIB = 1 << 20


def test_a_market_is_made_on_the_host() -> None:
    assert making_bytes(DATA, "cpu") == 230 * 1_000_000 + 56 * 1_500_000
    assert making_bytes(DATA, "cuda") == 0


def test_a_cpu_judges_what_a_card_only_walks() -> None:
    assert judging_bytes(SHAPE, CONFIG, DATA, "cpu") == 275 * 1_000_000 + 60 * MIB
    lane = 4 * 5_300 + 2 * 4 * 128 + 5_000
    assert judging_bytes(SHAPE, CONFIG, DATA, "cuda") == 4 * MIB + 330 * 32_768 + 1_000 * lane
    normalised = judging_bytes(SHAPE, replace(CONFIG, norm_obs=True), DATA, "cuda")
    assert normalised - judging_bytes(SHAPE, CONFIG, DATA, "cuda") == 1_000 * 3 * 4 * 5_300


def test_of_a_long_market_a_small_network_s_peak_is_the_judging() -> None:
    """The rollout is let go of for it; before there is a network, making the market needs less."""
    without = RunPlan("cpu", dataset_bytes=250 * DATA.bars)
    memory = run_memory(SHAPE, CONFIG, replace(without, data=DATA))
    assert memory.peak_instant == "policy judged"
    at = {instant.name: instant.bytes for instant in memory.instants}
    parts = {component.name: component.bytes for component in memory.components}
    assert at["policy judged"] == judging_bytes(SHAPE, CONFIG, DATA, "cpu") - parts["rollout buffer"]
    later = sum(parts[name] for name in parts if name not in ("evaluation", "dataset"))
    assert at["market made"] == making_bytes(DATA, "cpu") - later
    assert sum(parts.values()) == memory.tensor_bytes
    assert run_memory(SHAPE, CONFIG, without).peak_instant != "policy judged"


def test_of_a_large_run_neither_is_the_peak() -> None:
    wide = NetworkShape(5300, (2048, 1024))
    config = PPOConfig(hidden_dims=wide.hidden_dims, num_envs=1024, num_steps=128)
    plan = RunPlan("cuda", data=DATA)
    assert (
        run_memory(wide, config, plan).tensor_bytes == run_memory(wide, config, RunPlan("cuda")).tensor_bytes
    )
