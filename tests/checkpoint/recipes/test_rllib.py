"""RLlib of ray 2.60.0: folders that its Learner saved, compared with what its modules say of themselves."""

import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoint.producers.made import Maker, agrees
from tests.checkpoint.producers.make_rllib import CASES
from tests.checkpoint.reading import dimensions, facts, inspect

MODULE = "rl_module/default_policy"


LEARNERS = [case for case in CASES if not case.startswith("older_")]
POLICIES = [case for case in CASES if case.startswith("older_")]
COMPRESSED = {"action_dim": "whose sizes the file holds compressed", "action_nvec": "compressed"}


@pytest.mark.parametrize("case", POLICIES)
def test_a_policy_of_the_older_api_says_what_the_library_says(made: Maker, case: str) -> None:
    checkpoint = made("rllib", case)
    report = inspect(checkpoint.path)
    assert (report.producer, report.format, report.complete) == ("rllib", "folder", True)
    assert report.findings == ()
    agrees(report, checkpoint.said, COMPRESSED if "multi" in case else {})
    assert report.versions == {"ray": "2.60.0"}
    assert report.optimizer is not None
    assert (report.optimizer.kind, report.optimizer.complete) == ("adam", case == "older_discrete")
    assert report.progress == {"global_timestep": 0, "num_grad_updates": 0}
    alone = inspect(checkpoint.path / "policies/default_policy/policy_state.pkl")
    assert (alone.producer, alone.architecture) == ("rllib", report.architecture)


@pytest.mark.parametrize("case", LEARNERS)
def test_a_learners_folder_says_what_the_library_says(made: Maker, case: str) -> None:
    checkpoint = made("rllib", case)
    report = inspect(checkpoint.path)
    assert (report.producer, report.format, report.complete) == ("rllib", "folder", True)
    assert report.findings == ()
    agrees(report, checkpoint.said, {})
    assert report.architecture.obs_dim.basis == report.architecture.action_dim.basis == "both"
    assert report.architecture.hidden_dims.basis == "both"
    assert report.versions == {"ray": "2.60.0"}
    assert report.optimizer is not None
    assert (report.optimizer.kind, report.optimizer.complete) == ("adam", case == "discrete_trained")


def test_the_optimizers_steps_are_read_from_its_arrays(made: Maker) -> None:
    report = inspect(made("rllib", "discrete_trained").path)
    assert report.optimizer is not None
    assert (report.optimizer.steps, report.optimizer.with_state, report.optimizer.note) == (2, 12, "")


def test_a_modules_folder_by_itself(made: Maker) -> None:
    checkpoint = made("rllib", "multi_discrete_lstm")
    report = inspect(checkpoint.path / MODULE)
    agrees(report, checkpoint.said, {})
    assert report.optimizer is None


def test_a_zip_of_a_whole_algorithm(made: Maker, tmp_path: Path) -> None:
    """The learner stands in learner_group/learner there, below the algorithm's own state."""
    checkpoint = made("rllib", "discrete_trained")
    shutil.copytree(checkpoint.path, tmp_path / "run/learner_group/learner")
    packed = tmp_path / "checkpoint.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(p for p in (tmp_path / "run").rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(tmp_path / "run").as_posix())
    report = inspect(packed)
    assert (report.producer, report.format, report.findings) == ("rllib", "zip", ())
    agrees(report, checkpoint.said, {})
    assert report.optimizer is not None
    assert report.optimizer.steps == 2


def test_the_weights_alone_do_not_tell_what_the_outputs_mean(made: Maker) -> None:
    report = inspect(made("rllib", "discrete").path / MODULE / "module_state.pkl")
    assert report.producer == "rllib"
    assert dimensions(report) == (5, (32, 16), None, None)
    assert "class_and_ctor_args.pkl" in report.architecture.action_dim.note
    assert facts(report)["activation"] is None


def test_an_array_larger_than_a_string_may_be_is_read(tmp_path: Path) -> None:
    """Built from keys: 4,400 observations to 1,000 units are 17.6 MB in one pickled value."""
    shapes = {
        "encoder.encoder.net.mlp.0.weight": (1000, 4400),
        "pi.net.mlp.0.weight": (3, 1000),
        "vf.net.mlp.0.weight": (1, 1000),
    }
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    (tmp_path / "module_state.pkl").write_bytes(pickle.dumps(state))
    report = inspect(tmp_path)
    assert (report.complete, report.findings) == (True, ())
    assert dimensions(report)[:2] == (4400, (1000,))
