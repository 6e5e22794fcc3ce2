"""ElegantRL: modules written as elegantrl/agents/net.py of 0.3.6 writes them; whole pickles, whole optimizers."""

import itertools
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.checkpoint.reading import dimensions, facts, inspect


def mlp(*widths: int) -> nn.Sequential:
    """net.py's build_mlp: ReLU between the layers."""
    layers: list[nn.Module] = []
    for width, out in itertools.pairwise(widths):
        layers += [nn.Linear(width, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class ActorPPO(nn.Module):
    """A Gaussian actor."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(5, 32, 16, 3)
        self.state_avg = nn.Parameter(torch.zeros(5), requires_grad=False)
        self.state_std = nn.Parameter(torch.ones(5), requires_grad=False)
        self.action_std_log = nn.Parameter(torch.zeros(1, 3))


class ActorDiscretePPO(nn.Module):
    """A discrete actor."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(5, 32, 16, 3)
        self.soft_max = nn.Softmax(dim=-1)


class CriticPPO(nn.Module):
    """A critic."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(5, 24, 1)


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes stand where ElegantRL has them, so that their pickles name it."""
    home = types.ModuleType("elegantrl.agents.net")
    for kind in (ActorPPO, ActorDiscretePPO, CriticPPO):
        monkeypatch.setattr(kind, "__module__", home.__name__)
        setattr(home, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "elegantrl", types.ModuleType("elegantrl"))
    monkeypatch.setitem(sys.modules, "elegantrl.agents", types.ModuleType("elegantrl.agents"))
    monkeypatch.setitem(sys.modules, home.__name__, home)


@pytest.mark.parametrize(("kind", "action_kind"), [(ActorPPO, "gaussian"), (ActorDiscretePPO, "discrete")])
def test_an_actors_file(tmp_path: Path, kind: Any, action_kind: str) -> None:
    torch.save(kind(), tmp_path / "act.pth")
    report = inspect(tmp_path / "act.pth")
    assert (report.producer, report.findings) == ("elegantrl", ())
    assert dimensions(report) == (5, (32, 16), 3, action_kind)
    assert facts(report)["activation"] == "relu"


def test_a_critics_file_has_no_action(tmp_path: Path) -> None:
    torch.save(CriticPPO(), tmp_path / "cri.pth")
    report = inspect(tmp_path / "cri.pth")
    assert dimensions(report) == (5, (24,), None, None)
    assert report.architecture.action_dim.note.startswith("it is the critic's file")


def test_the_folder_of_an_agent(tmp_path: Path) -> None:
    actor, critic = ActorPPO(), CriticPPO()
    optimizer = torch.optim.AdamW(actor.parameters(), lr=6e-5)
    sum(p.sum() for p in actor.parameters() if p.requires_grad).backward()
    optimizer.step()
    for name, value in (("act", actor), ("cri", critic), ("act_optimizer", optimizer)):
        torch.save(value, tmp_path / f"{name}.pth")
    report = inspect(tmp_path)
    assert (report.producer, report.format, report.sha256) == ("elegantrl", "folder", None)
    assert dimensions(report) == (5, (32, 16), 3, "gaussian")
    assert (facts(report)["shared_trunk"], facts(report)["critic_hidden_dims"]) == (False, (24,))
    assert report.optimizer is not None
    assert (report.optimizer.kind, report.optimizer.with_state, report.optimizer.steps) == ("adamw", 7, 1)
    assert "act.pth._modules" not in "".join(report.normaliser_tensors)
    assert len(report.normaliser_tensors) == 2
    assert not report.suspicious
