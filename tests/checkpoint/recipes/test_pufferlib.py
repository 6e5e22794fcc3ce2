"""PufferLib: policies written as pufferlib/models.py of 3.0.0 writes them (it builds only with a compiler of its own)."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.checkpoint.reading import dimensions, facts, inspect
from tests.checkpoint.real_files import saved, trained


class Default(nn.Module):
    """pufferlib.models.Default."""

    def __init__(self, *, outputs: int = 3, continuous: bool = False) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 32), nn.GELU())
        if continuous:
            self.decoder_mean = nn.Linear(32, outputs)
            self.decoder_logstd = nn.Parameter(torch.zeros(1, outputs))
        else:
            self.decoder = nn.Linear(32, outputs)
        self.value = nn.Linear(32, 1)


class LSTMWrapper(nn.Module):
    """pufferlib.models.LSTMWrapper: an LSTM and a cell that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = Default()
        self.lstm = nn.LSTM(32, 32)
        self.cell = nn.LSTMCell(32, 32)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(self.cell, name, getattr(self.lstm, f"{name}_l0"))


@pytest.mark.parametrize("continuous", [False, True])
def test_the_default_policy(continuous: bool) -> None:
    report = inspect(saved(Default(continuous=continuous).state_dict()))
    assert (report.producer, report.findings) == ("pufferlib", ())
    assert dimensions(report) == (5, (32,), *((3, "gaussian") if continuous else (None, None)))
    assert facts(report)["actor_head"] == (3,)
    assert facts(report)["shared_trunk"] is True


def test_the_lstm_wrapper_counts_shared_weights_once() -> None:
    module = LSTMWrapper()
    report = inspect(saved(module.state_dict()))
    assert (dimensions(report)[:2], facts(report)["actor_head"]) == ((5, (32,)), (3,))
    assert facts(report)["recurrent_dim"] == 32
    assert report.parameters == sum(p.numel() for p in module.parameters())


def test_a_runs_folder_joins_model_and_trainer_state(tmp_path: Path) -> None:
    policy = Default()
    state = {
        "optimizer_state_dict": trained(policy).state_dict(),
        "global_step": 640,
        "agent_step": 640,
        "update": 5,
        "model_name": "model_000005.pt",
        "run_id": "177",
    }
    (tmp_path / "model_000005.pt").write_bytes(saved(policy.state_dict()))
    (tmp_path / "model_000009.pt").write_bytes(saved(Default(outputs=9).state_dict()))
    (tmp_path / "trainer_state.pt").write_bytes(saved(state))
    report = inspect(tmp_path)
    assert (report.producer, report.format) == ("pufferlib", "folder")
    assert (dimensions(report)[:2], facts(report)["actor_head"]) == ((5, (32,)), (3,))
    assert report.optimizer is not None
    assert (report.optimizer.complete, report.optimizer.steps) == (True, 1)
    assert report.progress["update"] == 5

    alone = inspect(tmp_path / "trainer_state.pt")
    assert alone.producer == "pufferlib"
    assert alone.architecture.obs_dim.basis == "undetermined"
    assert alone.parameters == 0
