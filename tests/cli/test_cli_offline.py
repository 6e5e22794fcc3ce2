"""estimate, inspect and diff: on files, without any service."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

from app.network.config import PPOConfig
from app.network.estimate import estimate
from app.network.shape import NetworkShape


def test_estimate_shows_what_the_network_room_computes(caliper: CommandLine) -> None:
    done = caliper("estimate", "--obs-dim", 5300, "--hidden", "2048,1024,512,256")
    assert done.exit_code == 0
    assert "5,300 → 2,048 → 1,024 → 512 → 256 → 3" in done.stdout
    assert "13,643,908 parameters" in done.stdout
    assert "13,639,680 (-0.03 %)" in done.stdout
    assert "79.6 %" in done.stdout
    shape = NetworkShape(5300, (2048, 1024, 512, 256))
    wanted = estimate(shape, PPOConfig(hidden_dims=(2048, 1024, 512, 256)))
    assert f"{wanted.disk.checkpoint.bytes:,}" in done.stdout
    assert f"{wanted.memory.total_bytes:,}" in done.stdout


def test_estimate_marks_the_cards_that_are_too_small(caliper: CommandLine) -> None:
    done = caliper("estimate", "--hidden", "65536,16384", "--num-envs", 16)
    lines = {
        line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line.startswith(("✓", "✗"))
    }
    assert lines["low"] == "✗"
    assert lines["h100"] == "✓"


def test_estimate_as_json_is_the_apis_answer(caliper: CommandLine) -> None:
    answer = json.loads(caliper("estimate", "--hidden", "64", "--layer-norm", "--gaussian", "--json").stdout)
    shape = NetworkShape(5300, (64,), 3, "gaussian", layer_norm=True)
    assert answer["parameters"] == shape.parameters
    assert answer["action_kind"] == "gaussian"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hidden", "512,x"), "'512,x' are no layer widths"),
        (("--obs-dim", "0"), "obs_dim is 0"),
        (("--precision", "fp8"), "precision is 'fp8'"),
        (("--num-minibatches", "7"), "num_minibatches=7 does not divide"),
        (("--hidden", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"), "exceeds the limit of 16"),
    ],
)
def test_what_cannot_be_estimated_is_said_in_a_message(
    caliper: CommandLine, arguments: Any, message: Any
) -> None:
    done = caliper("estimate", *arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert "hint" in done.stderr or "limit" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_options_are_wrong_usage(caliper: CommandLine) -> None:
    assert caliper("estimate", "--hiden", "64").exit_code == 2


def test_inspect_shows_the_network_and_its_basis(caliper: CommandLine, checkpoint_files: list[Path]) -> None:
    done = caliper("inspect", checkpoint_files[0])
    assert done.exit_code == 0
    assert "12 → 16 → 8 → 3" in done.stdout
    assert "from config and shapes" in done.stdout
    assert "none: training cannot go on from this file" in done.stdout


def test_inspect_as_json_is_the_whole_report(caliper: CommandLine, checkpoint_files: list[Path]) -> None:
    report = json.loads(caliper("inspect", checkpoint_files[0], "--json").stdout)
    assert report["architecture"]["hidden_dims"]["value"] == [16, 8]
    assert report["bytes"]["total"] == checkpoint_files[0].stat().st_size


class Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("exit 3",)


def test_a_dangerous_file_gives_exit_code_2(caliper: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps({"weights": Payload()}))
    done = caliper("inspect", file)
    assert done.exit_code == 2
    assert "high" in done.stdout
    assert "system" in done.stdout
    assert caliper("inspect", file, "--json").exit_code == 2


def test_what_a_file_says_cannot_steer_the_terminal(caliper: CommandLine, tmp_path: Path) -> None:
    """Neither escape sequences nor rich's markup of a hostile file reach the screen."""
    import torch

    file = tmp_path / "evil.pt"
    torch.save(
        {
            "config": {"\x1b[31m[bold red]x": 1},
            "state_dict": {"\x1b]0;t\x07[link=http://x]w.weight": torch.zeros(2, 2)},
        },
        file,
    )
    done = caliper("inspect", file)
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "[link=http://x]" in done.stdout


def test_a_file_that_is_no_checkpoint_is_an_error(caliper: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello, this is no checkpoint at all")
    done = caliper("inspect", file)
    assert done.exit_code == 1
    assert "error:" in done.stderr
    assert "hint:" in done.stderr


def test_a_missing_file_is_an_error(caliper: CommandLine, tmp_path: Path) -> None:
    done = caliper("inspect", tmp_path / "no.pt")
    assert done.exit_code == 1
    assert "cannot be opened" in done.stderr


def test_diff_names_the_layers_and_says_that_weights_do_not_load(
    caliper: CommandLine, checkpoint_files: list[Path]
) -> None:
    done = caliper("diff", *checkpoint_files)
    assert done.exit_code == 0
    assert "✗ the weights do not load" in done.stdout
    assert "16, 8" in done.stdout
    diff = json.loads(caliper("diff", *checkpoint_files, "--json").stdout)
    assert diff["weights_load"] is False
    assert diff["parameters_delta"] < 0


def test_a_file_against_itself_loads(caliper: CommandLine, checkpoint_files: list[Path]) -> None:
    done = caliper("diff", checkpoint_files[0], checkpoint_files[0])
    assert "✓ the weights load" in done.stdout
    assert "+0 parameters, +0 bytes" in done.stdout


def test_what_is_no_file_is_said_by_name_and_not_waited_for(caliper: CommandLine, tmp_path: Path) -> None:
    """A pipe without a writer would be opened for ever; a device reads as empty."""
    os.mkfifo(tmp_path / "line")
    for path in (tmp_path / "line", Path("/dev/zero")):
        done = caliper("inspect", path, "--json")
        assert (done.exit_code, done.stdout) == (1, "")
        assert "a device, a pipe or a socket" in done.stderr
        assert str(path) in done.stderr


@pytest.mark.parametrize("content", [b"", b"some words"])
def test_an_unreadable_file_is_named(caliper: CommandLine, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.pt").write_bytes(content)
    done = caliper("inspect", tmp_path / "odd.pt", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "odd.pt" in done.stderr
