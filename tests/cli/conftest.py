"""The command line with a played service, and files to look into."""

import itertools
from pathlib import Path

import pytest
from command_line import CommandLine


@pytest.fixture
def caliper(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(monkeypatch)


@pytest.fixture(scope="session")
def checkpoint_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two real torch files with other trunks, written once."""
    import torch
    from torch import nn

    folder = tmp_path_factory.mktemp("checkpoints")
    paths = []
    for name, dims in (("large.pt", (16, 8)), ("small.pt", (4,))):
        widths = (12, *dims)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        policy = nn.Module()
        policy.trunk = nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh())))
        policy.actor = nn.Sequential(nn.Linear(dims[-1], 64), nn.Tanh(), nn.Linear(64, 3))
        policy.critic = nn.Sequential(nn.Linear(dims[-1], 64), nn.Tanh(), nn.Linear(64, 1))
        config = {"hidden_dims": list(dims), "obs_dim": 12, "action_dim": 3, "learning_rate": 1e-3}
        torch.save({"config": config, "policy_state_dict": policy.state_dict()}, folder / name)
        paths.append(folder / name)
    return paths
