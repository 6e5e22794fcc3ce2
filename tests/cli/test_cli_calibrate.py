"""`caliper calibrate`, `calibrations` and `latency` around their child processes; `estimate --calibration`."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

from app.api.calibration_example import CALIBRATION, MEASURED
from app.cli import calibrate, latency
from app.cli.result import describe_speed

MACHINE = {"event": "machine", "device": "AMD EPYC, 2 threads", "busy_percent": 1.0, "limit": 15.0}
TURN = {"event": "turn", "number": 1, "seconds": 1.5}
DONE = {"event": "calibration", "calibration": MEASURED}
REFUSED = {"event": "refused", "device": "x", "busy_percent": 73.5, "limit": 15.0}


def child(monkeypatch: pytest.MonkeyPatch, module: Any, *events: dict[str, Any], then: str = "") -> None:
    """Play these lines in place of the real child; the last argument of `then` is its exit code."""
    script = "".join(f"print({json.dumps(event)!r}, flush=True)\n" for event in events)
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", script + then))


def test_a_calibration_is_registered_and_shown(caliper: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, calibrate, MACHINE, TURN, DONE)
    caliper.answers(**{"GET /healthz": {"status": "ok"}, "POST /calibrations": CALIBRATION})
    done = caliper("calibrate")
    assert done.exit_code == 0, done.stderr
    assert "turn 1" in done.stderr
    assert f"registered as {CALIBRATION['id']}" in done.stderr
    assert "AMD EPYC, 2 threads" in done.stdout
    assert "91 GFLOP/s" in done.stdout
    assert "one step of all environments" in done.stdout


def test_offline_it_goes_to_a_file_that_estimate_reads(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child(monkeypatch, calibrate, MACHINE, DONE)
    file = tmp_path / "calibration.json"
    done = caliper("calibrate", "--offline", "--output", file, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(file.read_text()) == MEASURED
    shape = ("--obs-dim", 260, "--hidden", "32,16", "--calibration", file)
    sized = json.loads(caliper("estimate", *shape, "--json").stdout)
    assert (sized["time"]["basis"], sized["settings"]["device"]) == ("calibrated", "cpu")
    drawn = caliper("estimate", *shape).stdout
    assert "time to train calibrated, AMD EPYC, 2 threads" in drawn
    assert "about" in drawn


def test_without_one_an_estimate_says_uncalibrated(caliper: CommandLine) -> None:
    drawn = caliper("estimate", "--hidden", "32,16", "--gpu", "t4").stdout
    assert "time to train uncalibrated, T4" in drawn
    assert "bounds only" in drawn


def test_a_busy_machine_is_refused_with_exit_code_1(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, calibrate, MACHINE, REFUSED, then="raise SystemExit(1)")
    done = caliper("calibrate", "--offline")
    assert done.exit_code == 1
    assert "73.5 % of the processors' time, more than 15 %" in done.stderr
    assert "--force" in done.stderr
    assert done.stdout == ""


def test_a_busy_measurement_says_so(caliper: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = {**MEASURED, "load": {**MEASURED["load"], "loaded": True}}
    child(monkeypatch, calibrate, MACHINE, {**DONE, "calibration": busy})
    assert "busy with other work" in caliper("calibrate", "--offline", "--force").stdout


def test_a_service_that_is_away_is_told_before_anything_is_measured(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, calibrate, then="raise SystemExit('measured')")
    done = caliper("calibrate")
    assert done.exit_code == 1
    assert "measured" not in done.stderr


def test_a_child_that_dies_is_told(caliper: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, calibrate, MACHINE, then="raise SystemExit('no memory left')")
    done = caliper("calibrate", "--offline")
    assert done.exit_code == 1
    assert "the calibration ended without a calibration: no memory left" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "Field required"),
        ("no json", "Invalid JSON"),
        (json.dumps({**MEASURED, "threads": 0}), "threads is 0"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(
    caliper: CommandLine, tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "c.json"
    file.write_text(content)
    done = caliper("estimate", "--calibration", file)
    assert done.exit_code == 1
    assert words in done.stderr


def test_the_measured_devices_are_listed(caliper: CommandLine) -> None:
    caliper.answers(**{"GET /calibrations": {"items": [CALIBRATION], "next_cursor": None}})
    assert CALIBRATION["device"] in caliper("calibrations").stdout
    assert json.loads(caliper("calibrations", "--json").stdout) == [CALIBRATION]
    caliper.answers(**{"GET /calibrations": {"items": [], "next_cursor": None}})
    assert "caliper calibrate" in caliper("calibrations").stdout


ENGINES = [
    {
        "engine": "torch",
        "calls": 9,
        "p50": 150.2,
        "p99": 190.0,
        "p999": 300.0,
        "max": 401.0,
        "max_difference": 0.0,
    },
    {
        "engine": "ONNX",
        "calls": 9,
        "p50": 80.0,
        "p99": 95.0,
        "p999": 100.0,
        "max": 210.0,
        "max_difference": 2e-6,
    },
]
NETWORK = {"event": "network", "hidden_dims": [8, 4], "parameters": 9, "engines": ENGINES}


def test_latencies_stand_side_by_side(caliper: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, latency, MACHINE, NETWORK, {"event": "verdict", "load": MEASURED["load"]})
    done = caliper("latency", "--hidden", "8,4")
    assert done.exit_code == 0, done.stderr
    assert "8,4" in done.stdout
    assert "2.0e-06" in done.stdout
    assert "busy" not in done.stdout
    child(monkeypatch, latency, MACHINE, REFUSED, then="raise SystemExit(1)")
    assert caliper("latency").exit_code == 1


def test_the_real_children_are_the_worker_s() -> None:
    assert calibrate.COMMAND[1:] == ("-P", "-m", "worker.calibrate")
    assert latency.COMMAND[1:] == ("-P", "-m", "worker.calibrate.latency")


@pytest.mark.parametrize(
    ("time", "speed", "words"),
    [
        (
            {"basis": "uncalibrated", "hours": {"low": 0.5, "high": 2.0, "likely": None}},
            {},
            "30 min to 2 h (uncalibrated)",
        ),
        (
            {
                "basis": "calibrated",
                "hours": {"low": 0.5, "high": 2.0, "likely": 1.0},
                "steps_per_second": {"likely": 1_234.0},
            },
            {"measured_steps_per_second": 1_200.4},
            "about 1 h (30 min to 2 h), 1,234 steps/s predicted, 1,200 steps/s measured",
        ),
    ],
)
def test_a_job_shows_predicted_and_measured_speed(
    time: dict[str, Any], speed: dict[str, float], words: str
) -> None:
    assert describe_speed(time, speed) == words
