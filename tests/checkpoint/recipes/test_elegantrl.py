"""ElegantRL 0.3.6: folders that its agents saved, compared with what their modules say; FinRL's ElegantRL agents are these."""

import pytest

from tests.checkpoint.producers.made import Maker, agrees
from tests.checkpoint.producers.make_elegantrl import CASES
from tests.checkpoint.reading import facts, inspect


@pytest.mark.parametrize("case", CASES)
def test_an_agents_folder_says_what_the_library_says(made: Maker, case: str) -> None:
    checkpoint = made("elegantrl", case)
    report = inspect(checkpoint.path)
    assert (report.producer, report.format, report.sha256) == ("elegantrl", "folder", None)
    assert report.findings == ()
    agrees(report, checkpoint.said, {})
    assert facts(report)["activation"] == "relu"
    assert facts(report)["shared_trunk"] is (None if case.endswith("QN") else False)
    assert report.optimizer is not None
    assert (report.optimizer.kind, report.optimizer.complete) == ("adamw", False)
    assert len(report.normaliser_tensors) == 2


@pytest.mark.parametrize("case", CASES)
def test_an_actors_file_by_itself(made: Maker, case: str) -> None:
    checkpoint = made("elegantrl", case)
    report = inspect(checkpoint.path / "act.pth")
    assert (report.producer, report.findings) == ("elegantrl", ())
    agrees(
        report, {name: value for name, value in checkpoint.said.items() if name != "critic_hidden_dims"}, {}
    )
    assert report.architecture.obs_dim.basis == report.architecture.action_dim.basis == "both"


@pytest.mark.parametrize("case", ["AgentPPO", "AgentSAC", "AgentTD3"])
def test_a_critics_file_has_no_action_and_perhaps_no_observation(made: Maker, case: str) -> None:
    checkpoint = made("elegantrl", case)
    report = inspect(checkpoint.path / "cri.pth")
    together = "it is the critic's file, and this critic takes observation and action together"
    why = dict.fromkeys(
        ("action_dim", "action_kind"), "it is the critic's file; the action stands in act.pth"
    )
    wanted = ("obs_dim", "hidden_dims", "action_dim", "action_kind")
    agrees(
        report,
        {name: checkpoint.said[name] for name in wanted},
        why if case == "AgentPPO" else {**why, "obs_dim": together},
    )
    assert facts(report)["actor_head"] is None


def test_an_optimizer_that_was_pickled_whole_is_read(made: Maker) -> None:
    report = inspect(made("elegantrl", "AgentPPO").path)
    assert report.optimizer is not None
    assert report.optimizer.steps == 1
    assert report.optimizer.note == "7 of 9 parameters have their state"  # the statistics are never trained
