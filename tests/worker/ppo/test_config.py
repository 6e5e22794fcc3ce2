from typing import NamedTuple

import pytest
import torch

from app.errors import InvalidConfig
from app.network import config as app_config
from app.network.auto_config import resolve_config
from worker.ppo import config as config_module
from worker.ppo.config import PPOConfig, get_a100_config, get_auto_config


class Properties(NamedTuple):
    """Of torch's device properties, what is read."""

    name: str
    total_memory: int


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, total_memory: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(name))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties(name, total_memory))


def test_the_config_is_the_apps() -> None:
    assert PPOConfig is app_config.PPOConfig
    assert config_module.__all__ == ["PPOConfig", "get_a100_config", "get_auto_config"]


@pytest.mark.parametrize(
    ("name", "total_bytes", "tier"),
    [
        ("NVIDIA H100 80GB HBM3", 85_045_870_592, "h100"),
        ("NVIDIA A100-SXM4-80GB", 85_100_000_000, "a100"),
        ("NVIDIA L4", 23_800_000_000, "medium"),
        ("", 0, "cpu"),
    ],
)
def test_the_auto_config_is_that_of_this_machines_tier(
    monkeypatch: pytest.MonkeyPatch, name: str, total_bytes: int, tier: str
) -> None:
    pretend(monkeypatch, name, total_bytes)
    config = get_auto_config(5_000_000)
    assert config == resolve_config(tier, 5_000_000, training_mode="standard").config
    assert config.total_timesteps == 5_000_000


def test_hidden_dims_can_be_overridden_afterwards() -> None:
    config = get_auto_config(1_000_000)
    config.hidden_dims = (1024, 512, 256)
    assert config.check().hidden_dims == (1024, 512, 256)


def test_a_bad_request_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="training mode"):
        get_auto_config(1_000_000, "no-such-mode")
    with pytest.raises(InvalidConfig, match="total_timesteps"):
        get_auto_config(0)


@pytest.mark.parametrize(
    ("total_bytes", "dims"), [(85_100_000_000, (1024, 512, 256)), (42_298_834_944, (512, 256, 128))]
)
def test_an_a100s_network_follows_its_memory(
    monkeypatch: pytest.MonkeyPatch, total_bytes: int, dims: tuple[int, ...]
) -> None:
    assert get_a100_config(total_bytes=total_bytes).hidden_dims == dims
    pretend(monkeypatch, "NVIDIA A100-PCIE", total_bytes)
    assert get_a100_config().hidden_dims == dims


@pytest.mark.parametrize("name", ["", "NVIDIA L4"])
def test_without_an_a100_here_the_80_gb_one_is_planned_for(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pretend(monkeypatch, name, 23_800_000_000)
    config = get_a100_config(2_000_000)
    assert (config.hidden_dims, config.total_timesteps) == ((1024, 512, 256), 2_000_000)
