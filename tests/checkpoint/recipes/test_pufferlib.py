"""PufferLib: files of version 2.0.2's policies, and of 3.0.0's, written here as its models.py writes them.

3.0.0 has no wheel, and its build needs a compiler and downloads of its own.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.checkpoint.producers.made import Maker, agrees
from tests.checkpoint.producers.make_pufferlib import CASES
from tests.checkpoint.reading import dimensions, facts, inspect
from tests.checkpoint.real_files import saved, trained

CHOICES = "4 outputs: the choices of one action, or of several components together; the file does not say"


@pytest.mark.parametrize("case", CASES)
def test_real_files_say_what_the_library_says(made: Maker, case: str) -> None:
    checkpoint = made("pufferlib", case)
    report = inspect(checkpoint.path)
    assert (report.producer, report.findings) == ("pufferlib", ())
    is_bare = case.startswith("discrete") and case.endswith("state")
    agrees(report, checkpoint.said, dict.fromkeys(("action_dim", "action_kind"), CHOICES) if is_bare else {})


@pytest.mark.parametrize("case", ["discrete_folder", "continuous_lstm_folder"])
def test_a_real_folder_joins_model_and_trainer_state(made: Maker, case: str) -> None:
    report = inspect(made("pufferlib", case).path)
    assert report.format == "folder"
    assert report.optimizer is not None
    assert (report.optimizer.kind, report.optimizer.complete, report.optimizer.steps) == ("adam", True, 1)
    assert (report.progress["update"], report.progress["global_step"]) == (5, 640)


class Default(nn.Module):
    """pufferlib.models.Default of 3.0.0: the choices of all components are one decoder's outputs."""

    def __init__(self, *, outputs: int = 4, continuous: bool = False) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 32), nn.GELU())
        if continuous:
            self.decoder_mean = nn.Linear(32, outputs)
            self.decoder_logstd = nn.Parameter(torch.zeros(1, outputs))
        else:
            self.decoder = nn.Linear(32, outputs)
        self.value = nn.Linear(32, 1)


class LSTMWrapper(nn.Module):
    """pufferlib.models.LSTMWrapper of 3.0.0: an LSTM and a cell that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = Default()
        self.lstm = nn.LSTM(32, 32)
        self.cell = nn.LSTMCell(32, 32)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(self.cell, name, getattr(self.lstm, f"{name}_l0"))


@pytest.mark.parametrize("continuous", [False, True])
def test_the_default_policy_of_version_3(continuous: bool) -> None:
    report = inspect(saved(Default(continuous=continuous).state_dict()))
    assert (report.producer, report.findings) == ("pufferlib", ())
    assert dimensions(report) == (5, (32,), *((4, "gaussian") if continuous else (None, None)))
    assert facts(report)["actor_head"] == (4,)
    assert facts(report)["shared_trunk"] is True
    assert continuous or report.architecture.action_dim.note == CHOICES


def test_the_lstm_wrapper_of_version_3_counts_shared_weights_once() -> None:
    module = LSTMWrapper()
    report = inspect(saved(module.state_dict()))
    assert (dimensions(report)[:2], facts(report)["actor_head"]) == ((5, (32,)), (4,))
    assert facts(report)["recurrent_dim"] == 32
    assert report.parameters == sum(p.numel() for p in module.parameters())


def trainer_state(policy: nn.Module, **more: Any) -> dict[str, Any]:
    """What PuffeRL.save_checkpoint of 3.0.0 writes beside the model."""
    counters = {"global_step": 640, "agent_step": 640, "update": 5, "run_id": "177"}
    return {"optimizer_state_dict": trained(policy).state_dict(), **counters, **more}


def test_the_folder_of_version_3_reads_the_model_that_the_trainer_names(tmp_path: Path) -> None:
    policy = Default()
    (tmp_path / "model_puffer_trade_000005.pt").write_bytes(saved(policy.state_dict()))
    (tmp_path / "model_puffer_trade_000009.pt").write_bytes(saved(Default(outputs=9).state_dict()))
    (tmp_path / "trainer_state.pt").write_bytes(
        saved(trainer_state(policy, model_name="model_puffer_trade_000005.pt"))
    )
    report = inspect(tmp_path)
    assert (report.producer, report.format) == ("pufferlib", "folder")
    assert (dimensions(report)[:2], facts(report)["actor_head"]) == ((5, (32,)), (4,))
    assert report.optimizer is not None
    assert (report.optimizer.complete, report.optimizer.steps) == (True, 1)
    assert report.progress["update"] == 5

    alone = inspect(tmp_path / "trainer_state.pt")
    assert alone.producer == "pufferlib"
    assert alone.architecture.obs_dim.basis == "undetermined"
    assert alone.parameters == 0
