"""estimate, inspect and diff: on files, without any service."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine


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
