import json
import subprocess
import sys
from dataclasses import asdict
from pkgutil import walk_packages

import pytest

import app.network
from app.errors import InvalidConfig
from app.network.config import PPOConfig
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.contents import Provenance, predicted_contents
from app.network.disk.pickle_size import TensorSpec
from app.network.estimate import Size, disk_estimate, estimate
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.tiers import TIERS

SHAPE = NetworkShape(5300, (512, 256, 128))


def test_a_size_in_both_units() -> None:
    assert Size.of(163_676_160) == Size(163_676_160, 163.68, 156.09)


def test_the_answer_is_plain_json() -> None:
    answer = json.loads(json.dumps(asdict(estimate(SHAPE, PPOConfig()))))
    assert answer["parameters"] == 2_895_108
    assert answer["hidden_dims"] == [512, 256, 128]
    assert [fit["tier"] for fit in answer["fits"]] == list(TIERS)


def test_the_rule_s_error_is_signed() -> None:
    assert estimate(SHAPE, PPOConfig()).rule_of_thumb_error_percent == pytest.approx(-0.0444, abs=1e-4)


def test_layers_add_up() -> None:
    answer = estimate(SHAPE, PPOConfig())
    assert sum(layer.parameters for layer in answer.layers) == answer.parameters
    assert sum(layer.share for layer in answer.layers) == pytest.approx(1)
    assert answer.layers[0].share == answer.first_layer_share


def test_disk_follows_the_plan() -> None:
    config = PPOConfig()
    on_cpu = disk_estimate(SHAPE, config, RunPlan(device_type="cpu")).checkpoint.bytes
    assert on_cpu == torch_save_bytes(predicted_contents(SHAPE, config, device_type="cpu"))
    env_state = {"cash": TensorSpec((16,), "float64")}
    plan = RunPlan(device_type="cpu", env_state=env_state, provenance=Provenance(dataset={"id": "x" * 3000}))
    assert disk_estimate(SHAPE, config, plan).checkpoint.bytes > on_cpu + 3000


def test_weights_are_a_third_of_the_checkpoint() -> None:
    disk = disk_estimate(SHAPE, PPOConfig())
    assert disk.safetensors.bytes < disk.weights_only.bytes
    assert disk.checkpoint.bytes == pytest.approx(3 * disk.weights_only.bytes, rel=0.001)
    assert disk.weights_only.bytes == pytest.approx(4 * SHAPE.parameters, rel=0.001)


def test_fits_compares_with_each_tier_s_smallest_card() -> None:
    answer = estimate(SHAPE, PPOConfig(num_envs=4096, num_steps=80))
    assert {fit.tier: fit.fits for fit in answer.fits} == {
        "h100": True,
        "a100": True,
        "high": True,
        "medium": True,
        "low": False,
        "cpu": False,
    }
    for fit in answer.fits:
        assert fit.free_bytes == fit.card_bytes - fit.needed_bytes
        assert fit.fits is (fit.free_bytes >= 0)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (PPOConfig(hidden_dims=(64,)), "hidden_dims"),
        (PPOConfig(layer_norm=True), "layer_norm"),
        (PPOConfig(num_minibatches=3), "num_minibatches"),
    ],
)
def test_a_config_of_another_network_is_refused(config: PPOConfig, field: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        estimate(SHAPE, config)
    assert caught.value.pointer == field


def test_the_room_loads_nothing_heavy() -> None:
    imports = ", ".join(found.name for found in walk_packages(app.network.__path__, "app.network."))
    heavy = "{'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    code = f"import sys, {imports}; sys.exit(str({heavy}) if {heavy} else 0)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
