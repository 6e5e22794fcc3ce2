"""rl_games 1.6.5: files that its agents saved, compared with what its networks say of themselves."""

import io
from pathlib import Path

import pytest
import torch

from tests.checkpoint.producers.made import Maker, agrees
from tests.checkpoint.producers.make_rl_games import CASES
from tests.checkpoint.reading import facts, inspect, of_shapes
from tests.checkpoint.real_files import saved

COUNTERS = {"epoch": 0, "frame": 0, "last_mean_rewards": -1000000000}


@pytest.mark.parametrize("case", CASES)
def test_real_files_say_what_the_library_says(made: Maker, case: str) -> None:
    checkpoint = made("rl_games", case)
    report = inspect(checkpoint.path)
    assert (report.producer, report.findings, report.progress) == ("rl_games", (), COUNTERS)
    agrees(report, checkpoint.said, {})
    is_scaled = "without_statistics" not in case
    assert ("model.running_mean_std.running_mean" in report.normaliser_tensors) is is_scaled
    assert report.optimizer is not None
    assert report.optimizer.kind == "adam"


def test_a_central_value_networks_tensors_are_the_critics(made: Maker) -> None:
    report = inspect(made("rl_games", "central_value").path)
    central = [t for t in report.tensors if t.name.startswith("assymetric_vf_nets.")]
    assert central
    assert {tensor.part for tensor in central} == {"weights"}


def compiled(path: Path) -> bytes:
    """The file of an agent whose model torch.compile wrapped, which puts a prefix before every name."""
    tree = torch.load(path, weights_only=False)
    tree["model"] = {f"_orig_mod.{name}": value for name, value in tree["model"].items()}
    file = io.BytesIO()
    torch.save(tree, file)
    return file.getvalue()


def test_a_compiled_models_prefix_changes_nothing(made: Maker) -> None:
    checkpoint = made("rl_games", "continuous_separate")
    report = inspect(compiled(checkpoint.path))
    agrees(report, checkpoint.said, {})
    assert "model._orig_mod.running_mean_std.running_mean" in report.normaliser_tensors


def test_a_network_of_other_names_leaves_the_widths_undetermined() -> None:
    """Built from keys: a builder of the user's own."""
    shapes = {
        "a2c_network.body.0.weight": (32, 5),
        "a2c_network.mu.weight": (3, 32),
        "a2c_network.value.weight": (1, 32),
    }
    report = inspect(saved({"model": of_shapes(shapes), "epoch": 3, "frame": 64, "optimizer": {}}))
    assert (report.producer, facts(report)["action_dim"]) == ("rl_games", 3)
    for fact in (report.architecture.obs_dim, report.architecture.hidden_dims):
        assert (fact.value, fact.note) == (None, "the network has no actor_mlp: it is not the library's own")
