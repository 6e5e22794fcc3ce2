"""caliper estimate: the network room's numbers, at a glance, as JSON, and two beside each other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from fake_service import problem
from running_service import Service, running

from app.network.question import Question
from app.network.sizing import size_network
from app.settings import Settings

README = Path(__file__).parents[2] / "README.md"
LARGE = "2048,1024,512,256"
MOST_LINES = 66
"""About one and a half screens."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(Settings(data_dir=tmp_path_factory.mktemp("data"))) as started:
        yield started


def test_it_shows_what_the_network_room_computes(caliper: CommandLine) -> None:
    done = caliper("estimate", "--obs-dim", 5300, "--hidden", LARGE, "--gpu", "T4")
    assert done.exit_code == 0
    wanted = size_network(Question(obs_dim=5300, hidden_dims=(2048, 1024, 512, 256), gpu="t4"))
    assert wanted.device is not None
    for shown in (
        "5,300 → 2,048 → 1,024 → 512 → 256 → 3",
        "13,643,908 parameters",
        "13,639,680 (-0.03 %)",
        "79.6 %",
        "✓ fits T4: needs ",
        f"{wanted.disk.checkpoint.bytes:,}",
        f"{wanted.memory.total_bytes:,}",
        f"peak: {wanted.memory.peak_instant}",
        f"minibatch up to {wanted.device.largest_minibatch:,}, num_envs up to {wanted.device.largest_num_envs:,}",
        "27.3 MFLOP forward",
        "268.5 TFLOP",
        "lowered from the h100 tier's 4096",
    ):
        assert shown in done.stdout, shown


@pytest.mark.parametrize("columns", ["80", "120"])
def test_it_is_read_at_a_glance(caliper: CommandLine, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = caliper("estimate", "--hidden", LARGE, "--gpu", "4090").stdout.splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= int(columns)
    assert not any(re.fullmatch(r"\s+[\d,]{1,4}", line) for line in lines)  # no number broken in two


def test_cards_and_tiers_that_are_too_small_are_marked(caliper: CommandLine) -> None:
    done = caliper("estimate", "--hidden", "65536,16384", "--num-envs", 16, "--all")
    marks = {line[2:16].strip(): line[0] for line in done.stdout.splitlines() if line.startswith(("✓", "✗"))}
    assert (marks["T4"], marks["H200"]) == ("✗", "✓")
    assert "✓ h100" in done.stdout
    assert "✗ low" in done.stdout


def test_all_shows_every_card_instant_reason_and_constant(caliper: CommandLine) -> None:
    answer = size_network(Question(obs_dim=5300, hidden_dims=(64,)))
    shown = caliper("estimate", "--hidden", "64", "--all").stdout
    for name in (
        *(card.name for card in answer.cards),
        *(instant.name for instant in answer.memory.instants),
        *(constant.name for constant in answer.constants),
        *(constant.name for constant in answer.time.constants),
        *(part.name for part in answer.memory.components),
    ):
        assert name in shown, name
    assert answer.tier_defaults[0].reasons["num_steps"] in shown


def test_what_does_not_fit_is_shown_with_what_would(caliper: CommandLine) -> None:
    done = caliper("estimate", "--hidden", "4096,4096", "--num-envs", 16384, "--gpu", "t4")
    assert done.exit_code == 0
    assert "✗ does not fit T4" in done.stdout
    change = re.search(
        r"nearest that fits: num_envs=(\d+), num_minibatches=(\d+), num_steps=(\d+)", done.stdout
    )
    assert change
    envs, parts, steps = change.groups()
    options = ("--num-envs", envs, "--num-minibatches", parts, "--num-steps", steps, "--gpu", "t4")
    assert "✓ fits T4" in caliper("estimate", "--hidden", "4096,4096", *options).stdout


def test_two_networks_stand_beside_each_other(caliper: CommandLine) -> None:
    done = caliper("estimate", "--hidden", "512,256,128", "--compare", LARGE, "--gpu", "1g.5gb")
    rows = {line[:26].strip(): line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows["parameters"][-3:] == ["2,895,108", "13,643,908", "4.71"]
    assert "2,048 → 1,024 → 512 → 256" in done.stdout
    assert any(name.startswith("MIG 1g.5gb") for name in rows)
    both = json.loads(caliper("estimate", "--compare", LARGE, "--json").stdout)
    assert [each["parameters"] for each in both] == [2_895_108, 13_643_908]


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ((), "hidden=512,256,128"),
        (("--hidden", "64", "--layer-norm", "--gaussian"), "hidden=64&layer_norm=true&action_kind=gaussian"),
        (
            (
                "--gpu",
                "l40s",
                "--num-envs",
                64,
                "--num-steps",
                32,
                "--num-minibatches",
                8,
                "--separate-trunks",
            ),
            "hidden=512,256,128&gpu=l40s&num_envs=64&num_steps=32&num_minibatches=8&shared_trunk=false",
        ),
        (
            ("--cpu", "--memory-bytes", 8 * 2**30, "--adam", "foreach", "--precision", "bf16", "--norm-obs"),
            "hidden=512,256,128&device=cpu&memory_bytes=8589934592&adam=foreach&precision=bf16&norm_obs=true",
        ),
        (
            ("--lookback", 100, "--features", 48, "--rows", 2335, "--timesteps", 50_000, "--mode", "quick"),
            "hidden=512,256,128&lookback=100&features=48&rows=2335&total_timesteps=50000&training_mode=quick",
        ),
        (
            ("--norm-reward", "--no-norm-adv", "--no-clip-vloss", "--oom-retry", "--cpu"),
            "hidden=512,256,128&norm_reward=true&norm_adv=false&clip_vloss=false&oom_retry=true&device=cpu",
        ),
        (
            (
                "--lookback",
                100,
                "--features",
                48,
                "--rows",
                2335,
                "--first-layer",
                "table",
                "--episode-length",
                7,
            ),
            "hidden=512,256,128&lookback=100&features=48&rows=2335&first_layer=table&episode_length=7",
        ),
        (
            ("--world-size", 2, "--activation", "elu", "--update-epochs", 2, "--dataset-bytes", 99),
            "hidden=512,256,128&world_size=2&activation=elu&update_epochs=2&dataset_bytes=99",
        ),
    ],
)
def test_as_json_it_is_the_service_s_answer(
    caliper: CommandLine, service: Service, options: tuple[Any, ...], query: str
) -> None:
    answer = service.get(f"/estimate?obs_dim=5300&{query}")
    assert answer.status_code == 200, answer.text
    assert json.loads(caliper("estimate", *options, "--json").stdout) == answer.json()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hidden", "512,x"), "'512,x' are no layer widths"),
        (("--compare", "512,x"), "'512,x' are no layer widths"),
        (("--obs-dim", "0"), "obs_dim is 0"),
        (("--precision", "fp8"), "precision is 'fp8'"),
        (("--adam", "sgd"), "adam is 'sgd'"),
        (("--mode", "slow"), "training_mode is 'slow'"),
        (("--gpu", "t44"), "no card is known as 't44'"),
        (("--gpu", "t4", "--cpu"), "gpu=t4 and device=cpu contradict"),
        (("--num-minibatches", "7"), "num_minibatches=7 does not divide"),
        (("--lookback", "7"), "lookback without features, rows"),
        (("--first-layer", "table"), "first_layer is 'table', but no windows are named"),
        (("--episode-length", "0"), "episode_length is 0"),
        (("--dataset-bytes", "-20000000000"), "dataset_bytes is -20,000,000,000"),
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


def test_the_readme_shows_what_is_printed(caliper: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line; an ellipsis stands for lines that are left out."""
    monkeypatch.setenv("COLUMNS", "80")
    block = re.search(r"```\n\$ caliper (estimate [^\n]*)\n(.*?)```", README.read_text(), re.DOTALL)
    assert block
    printed = iter(caliper(*block[1].split()).stdout.splitlines())
    for line in block[2].splitlines():
        if line != "…":
            assert any(each == line for each in printed), line


def test_a_refused_job_is_shown_with_what_it_needs_and_the_options_that_fit(caliper: CommandLine) -> None:
    refused = {
        "needed_bytes": 20_000_000_000,
        "available_bytes": 15_655_239_680,
        "peak_instant": "trunk.0 linear backward",
        "components": [{"name": f"part {size}", "bytes": size * 10**9} for size in range(1, 6)],
        "overheads": [
            {"name": "CUDA context", "bytes": 400_000_000},
            {"name": "margin", "bytes": 300_000_000},
        ],
        "nearest_fit": {"hidden_dims": [64, 32], "overrides": {"num_envs": 8, "num_minibatches": 2}},
        "nearest_fit_bytes": 1_500_000_000,
    }
    caliper.service.answers["POST /jobs"] = problem(
        422, "does_not_fit", "the run needs 20.00 GB", hint="nearest that fits: …", **refused
    )
    costs = "fee_bps=5,half_spread_bps=1,slippage=0.02,borrow_bps_per_year=300"
    done = caliper("train", "--dataset", "googl", "--timesteps", 100, "--costs", costs)
    assert done.exit_code == 1
    lines = [line.strip() for line in done.stderr.splitlines()]
    assert "needs  20.00 GB = 18.63 GiB, at its peak (trunk.0 linear backward)" in lines
    assert "has    15.66 GB = 14.58 GiB" in lines
    assert [line.split("  ")[1] for line in lines if line.startswith(("5.0 GB", "400.0 MB"))] == [
        "part 5",
        "CUDA context",
    ]
    assert "300.0 MB  1 smaller parts" in lines or "300.0 MB  margin" in lines
    assert "fits with  --hidden 64,32 --set num_envs=8 --set num_minibatches=2  (1.5 GB)" in lines
