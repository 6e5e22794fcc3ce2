"""Checkpoints made for real: by torch, stable-baselines3 and safetensors."""

import io
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

OBS, ACTIONS, HIDDEN = 12, 3, (16, 8)


@dataclass
class TrainerConfig:
    """A config object whose class the reader does not know."""

    hidden_dims: tuple[int, ...] = HIDDEN
    obs_dim: int = OBS
    action_dim: int = ACTIONS
    learning_rate: float = 2.5e-4
    activation: str = "tanh"
    clip_coef: float = float("inf")
    notes: list[str] = field(default_factory=lambda: ["a\x1b[31m"])


class Policy(nn.Module):
    """The layout of Caliper's networks."""

    def __init__(self, *, shared: bool = True, gaussian: bool = False, layer_norm: bool = False) -> None:
        super().__init__()
        if gaussian:
            self.log_std = nn.Parameter(torch.zeros(ACTIONS))
        for name in ("trunk",) if shared else ("actor_trunk", "critic_trunk"):
            setattr(self, name, trunk(layer_norm))
        self.actor = nn.Sequential(nn.Linear(HIDDEN[-1], 64), nn.Tanh(), nn.Linear(64, ACTIONS))
        self.critic = nn.Sequential(nn.Linear(HIDDEN[-1], 64), nn.Tanh(), nn.Linear(64, 1))


def trunk(layer_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = OBS
    for hidden in HIDDEN:
        norm = [nn.LayerNorm(hidden)] if layer_norm else []
        layers += [nn.Linear(width, hidden), *norm, nn.Tanh()]
        width = hidden
    return nn.Sequential(*layers)


def trained(policy: nn.Module, optimizer: str = "Adam") -> torch.optim.Optimizer:
    """An optimizer after one step, so that it has its state."""
    made = getattr(torch.optim, optimizer)(policy.parameters(), lr=1e-3)
    sum(p.sum() for p in policy.parameters()).backward()
    made.step()
    return made


def saved(tree: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(tree, file, **options)
    return file.getvalue()


def caliper_tree(policy: nn.Module, config: Any, **more: Any) -> dict[str, Any]:
    return {
        "format": "caliper-checkpoint/1",
        "config": config,
        "policy_state_dict": policy.state_dict(),
        "optimizer_state_dict": trained(policy).state_dict(),
        "feature_schema": {"names": ["ret_1", "rsi_14", "mfi_14"], "version": 1, "hash": "ab"},
        "versions": {"caliper": "0.1.0", "torch": torch.__version__},
        "dataset": {"id": "btc", "sha256": "00"},
        **more,
    }


def plain_config(**more: Any) -> dict[str, Any]:
    return {"obs_dim": OBS, "hidden_dims": list(HIDDEN), "action_dim": ACTIONS, "activation": "tanh", **more}


def agent(gaussian: bool = False) -> nn.Module:
    """CleanRL's Agent."""
    module = nn.Module()
    module.critic = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    body = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    if gaussian:
        module.actor_mean = body
        module.actor_logstd = nn.Parameter(torch.zeros(1, 2))
    else:
        module.actor = body
    return module
