"""inspect and diff at a glance: verdicts first, differences only, exit codes, services by URL."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import CommandLine
from torch import nn

from app.checkpoint.diff import compare_reports
from app.checkpoint.inspect import inspect_checkpoint

URL = "http://caliper.test/checkpoints"


def policy(*widths: int, name: str = "trunk") -> nn.Module:
    module = nn.Module()
    layers = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), nn.Tanh())]
    setattr(module, name, nn.Sequential(*layers))
    module.actor = nn.Sequential(nn.Linear(widths[-1], 64), nn.Tanh(), nn.Linear(64, 3))
    module.critic = nn.Sequential(nn.Linear(widths[-1], 64), nn.Tanh(), nn.Linear(64, 1))
    return module


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """A trunk of 12, 16, 8 and one with a layer of 24 in the middle; gamma and a feature differ."""
    paths = []
    for name, widths, gamma, features in (
        ("left.pt", (12, 16, 8), 0.99, ["ret_1", "rsi_14"]),
        ("right.pt", (12, 16, 24, 8), 0.9, ["ret_1", "mfi_14"]),
    ):
        made = policy(*widths)
        optimizer = torch.optim.Adam(made.parameters(), lr=1e-3)
        tree = {
            "config": {"gamma": gamma, "obs_dim": 12},
            "policy_state_dict": made.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "feature_schema": {"names": features},
        }
        torch.save(tree, tmp_path / name)
        paths.append(tmp_path / name)
    return paths


def test_a_diff_names_what_differs_and_leaves_out_the_rest(caliper: CommandLine, pair: list[Path]) -> None:
    done = caliper("diff", *pair)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["left", "left.pt"]
    assert "✗ the weights do not load: 0 tensors" not in done.stdout
    assert any(line.startswith("✗ the weights do not load") for line in lines)
    assert any(line.startswith("✗ inference: not interchangeable: features") for line in lines)
    assert any(line.startswith("? lineage") for line in lines)
    inserted = [line for line in lines if line.startswith("+ ")]
    assert len(inserted) == 1
    assert "24 x 16" in inserted[0]
    assert "+408" in inserted[0]
    assert "actor.0" not in done.stdout.replace("actor.0.weight", "")
    assert "4 the same" in done.stdout or "5 the same" in done.stdout
    assert "unexpected (2)" in done.stdout
    assert "gamma" in done.stdout
    assert "obs_dim" not in done.stdout
    assert "only left: rsi_14" in done.stdout
    assert "only right: mfi_14" in done.stdout


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["inspect", "diff", "weights"])
def test_pages_fit_the_terminal(
    caliper: CommandLine, pair: list[Path], monkeypatch: pytest.MonkeyPatch, columns: int, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    arguments = {
        "inspect": ("inspect", pair[0]),
        "diff": ("diff", *pair),
        "weights": ("diff", *pair, "--weights"),
    }
    done = caliper(*arguments[command])
    assert done.exit_code == 0
    assert max(len(line) for line in done.stdout.splitlines()) <= columns
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


def test_weights_are_shown_the_most_moved_first(caliper: CommandLine, tmp_path: Path) -> None:
    state = policy(12, 8).state_dict()
    torch.save(state, tmp_path / "a.pt")
    moved = {name: value * (2.0 if name == "actor.0.bias" else 1.0) for name, value in state.items()}
    moved["trunk.0.weight"] = moved["trunk.0.weight"] * 1.1
    torch.save(moved, tmp_path / "b.pt")
    done = caliper("diff", tmp_path / "a.pt", tmp_path / "b.pt", "--weights")
    assert "values differ, in 2 of" in done.stdout
    rows = [line.split()[0] for line in done.stdout.splitlines() if " % " in line]
    assert rows == ["actor.0.bias", "trunk.0.weight", "all"]
    answer = json.loads(caliper("diff", tmp_path / "a.pt", tmp_path / "b.pt", "--weights", "--json").stdout)
    distances = {row["name"]: row["relative_change"] for row in answer["weights"]["tensors"]}
    assert distances["actor.0.bias"] == pytest.approx(1.0)
    assert distances["trunk.0.weight"] == pytest.approx(0.1, rel=1e-3)
    assert "weights" not in json.loads(caliper("diff", tmp_path / "a.pt", tmp_path / "b.pt", "--json").stdout)


def test_a_network_under_other_names_is_shown_with_its_renames(caliper: CommandLine, tmp_path: Path) -> None:
    state = policy(12, 8).state_dict()
    torch.save(state, tmp_path / "a.pt")
    torch.save({name.replace("trunk", "encoder"): value for name, value in state.items()}, tmp_path / "b.pt")
    done = caliper("diff", tmp_path / "a.pt", tmp_path / "b.pt")
    assert "? the weights load once their keys are renamed" in done.stdout
    assert "encoder.0.weight → trunk.0.weight" in done.stdout


def registered(path: Path, **more: Any) -> dict[str, Any]:
    return {"id": "checkpoint_1", "report": json.loads(json.dumps(inspect_checkpoint(path).plain())), **more}


def test_a_url_shows_the_service_s_stored_report(caliper: CommandLine, pair: list[Path]) -> None:
    caliper.answers(**{"GET /checkpoints/live": registered(pair[0])})
    done = caliper("inspect", f"{URL}/live")
    assert done.exit_code == 0
    assert caliper.url == "http://caliper.test"
    assert done.stdout == caliper("inspect", pair[0]).stdout
    assert json.loads(caliper("inspect", f"{URL}/live", "--json").stdout)["name"] == "left.pt"


def test_a_dangerous_checkpoint_of_a_service_gives_exit_code_2(
    caliper: CommandLine, pair: list[Path]
) -> None:
    row = registered(pair[0])
    row["report"]["findings"] = [
        {
            "code": "would_call",
            "severity": "high",
            "location": "data.pkl@1",
            "explanation": "would call os.system",
        }
    ]
    caliper.answers(**{"GET /checkpoints/live": row})
    done = caliper("inspect", f"{URL}/live")
    assert done.exit_code == 2
    assert "✗ do not load it: would call os.system" in done.stdout
    assert caliper("inspect", f"{URL}/live", "--json").exit_code == 2
    row["report"]["optimizer"] = {
        **(row["report"]["optimizer"] or {}),
        "kind": "adam",
        "steps": 1,
        "complete": True,
    }
    told = {"severity": "high", "location": "data#lr_schedule", "explanation": "lr_schedule holds a function"}
    made = {"severity": "high", "location": "data#lr_schedule@9", "explanation": "would call make_function"}
    system = row["report"]["findings"][0]
    for others, headline in (([], "lr_schedule holds a function"), ([system], "would call os.system")):
        row["report"]["findings"] = [
            {"code": "would_call", **made},
            {"code": "pickled_function", **told},
            *others,
        ]
        shown = caliper("inspect", f"{URL}/live").stdout
        assert f"✗ do not load it: {headline}" in shown
        assert "adam, 1 step, complete" in shown


@pytest.mark.parametrize("url", ["http://caliper.test", "https://x/checkpoints/", "http://x/model.pt"])
def test_a_url_of_something_else_is_refused(caliper: CommandLine, url: str) -> None:
    done = caliper("inspect", url)
    assert done.exit_code == 1
    assert "is no checkpoint on a Caliper service" in done.stderr
    assert "download" in done.stderr


def test_a_checkpoint_without_a_report_is_an_error(caliper: CommandLine) -> None:
    caliper.answers(**{"GET /checkpoints/live": {"id": "checkpoint_1", "report": None}})
    done = caliper("inspect", f"{URL}/live/file")
    assert done.exit_code == 1
    assert "no report" in done.stderr


def test_two_checkpoints_of_a_service_are_compared_there(caliper: CommandLine, pair: list[Path]) -> None:
    reports = [inspect_checkpoint(path) for path in pair]
    import dataclasses

    diff = dataclasses.asdict(compare_reports(*reports))
    caliper.answers(**{"GET /checkpoints/diff": json.loads(json.dumps(diff))})
    done = caliper("diff", f"{URL}/a", f"{URL}/b")
    assert done.exit_code == 0, done.stderr
    assert dict(caliper.service.asked[0].url.params) == {"left": "a", "right": "b"}
    assert done.stdout == caliper("diff", *pair).stdout


def test_a_file_is_compared_with_a_service_s_checkpoint(caliper: CommandLine, pair: list[Path]) -> None:
    caliper.answers(**{"GET /checkpoints/b": registered(pair[1])})
    done = caliper("diff", pair[0], f"{URL}/b")
    assert done.stdout == caliper("diff", *pair).stdout
    refused = caliper("diff", pair[0], f"{URL}/b", "--weights")
    assert refused.exit_code == 1
    assert "download" in refused.stderr


def test_help_tells_the_exit_codes(caliper: CommandLine) -> None:
    text = " ".join(caliper("inspect", "--help").stdout.split())
    assert "2 a finding of high severity" in text
    assert "FILE|URL" in text


def test_an_upload_that_is_stopped_says_how_to_go_on(
    caliper: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, on_progress: Any, **__: Any) -> None:
        on_progress(2_000_000, 8_000_000)
        raise KeyboardInterrupt

    monkeypatch.setattr("app.client.Client.upload_checkpoint", stop)
    (tmp_path / "a.pt").write_bytes(b"x")
    done = caliper("checkpoints", "upload", tmp_path / "a.pt")
    assert done.exit_code == 130
    assert "25%  2.0 MB of 8.0 MB" in done.stderr
    assert "stopped after 2.0 MB; the service keeps what arrived: the same command goes on" in done.stderr
