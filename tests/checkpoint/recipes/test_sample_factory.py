"""Sample Factory 2.1.1: files that its Learner saved, compared with what its networks say of themselves."""

import pytest

from tests.checkpoint.producers.made import Maker, agrees
from tests.checkpoint.producers.make_sample_factory import CASES
from tests.checkpoint.reading import inspect

ACTION = (
    "outputs: as many choices, or means and deviations of half as many; the environment's action space says"
)
PARTS = r"the observation has 2 parts \(more, obs\), each with an encoder of its own"


def untold(case: str) -> dict[str, str]:
    """What no file of Sample Factory tells: the kind of action where no learned deviation shows it, …"""
    unknown = {}
    if (
        "free_std" not in case
        and case not in ("continuous_separate", "continuous_decoder", "image")
        and "parts" not in case
    ):
        unknown = dict.fromkeys(("action_dim", "action_kind", "action_nvec"), ACTION)
    if "parts" in case:
        unknown["hidden_dims"] = PARTS
    if case == "two_parts_without_statistics":
        unknown["obs_dim"] = PARTS
    return unknown


@pytest.mark.parametrize("case", CASES)
def test_real_files_say_what_the_library_says(made: Maker, case: str) -> None:
    checkpoint = made("sample_factory", case)
    report = inspect(checkpoint.path)
    assert (report.producer, report.findings) == ("sample_factory", ())
    agrees(report, checkpoint.said, untold(case))
    assert bool(report.normaliser_tensors) is ("without_statistics" not in case)
    assert (report.progress["train_step"], report.progress["env_steps"]) == (0, 0)
    assert report.optimizer is not None
    assert report.optimizer.kind == "adam"
