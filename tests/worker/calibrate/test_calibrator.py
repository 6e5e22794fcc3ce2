"""A real calibration of this machine, in two turns: complete, plausible, and good for a prediction."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter

from app.network.config import PPOConfig
from app.network.first_layer import WindowGeometry
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.timing.calibration import Calibration
from app.network.timing.calibration_check import check_calibration
from app.network.timing.training_time import estimate_time
from app.registry.calibrations import list_calibrations
from app.registry.database import Database
from worker.calibrate import __main__ as command
from worker.calibrate import at_start, corrections, machine, products, streams
from worker.calibrate.calibrator import Calibrator
from worker.calibrate.machine import LoadWatch
from worker.calibrate.turns import Turns
from worker.device import name_device
from worker.ppo.device import detect_device


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A measurement of fewer and smaller things, in one thread."""
    monkeypatch.setattr(products, "LEVELS", (4, 64))
    monkeypatch.setattr(products, "BATCHED_LEVELS", (4, 16))
    monkeypatch.setattr(streams, "ADAM_SIZES", (1 << 10, 1 << 12))
    monkeypatch.setattr(corrections, "WIDTHS", (16, 32))
    monkeypatch.setattr(corrections, "ENVS", 8)
    monkeypatch.setattr(corrections, "FEW_ENVS", 4)
    monkeypatch.setattr(corrections, "BARS", 1_500)
    monkeypatch.setattr(machine, "PROBE_SECONDS", 0.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_real_measurement_is_a_calibration_that_predicts() -> None:
    device = detect_device()
    calibrator = Calibrator(device, watch=LoadWatch.begin(0.0))
    assert list(calibrator.run(2)) == [1, 2]
    found = check_calibration(calibrator.result())
    assert (found.turns, found.threads, found.device) == (2, 1, name_device(device))
    assert found.versions["torch"] == str(torch.__version__)
    assert TypeAdapter(Calibration).validate_json(TypeAdapter(Calibration).dump_json(found)) == found
    assert {(each.what, each.part) for each in found.corrections} == {
        *((what, part) for what in ("direct", "convolution", "network") for part in ("forward", "backward")),
        ("convolution", "ahead"),
        ("network", "acting"),
    }
    plan = RunPlan(
        device_type=found.device_type, windows=WindowGeometry(100, 48, 5_000), sliding_row_bytes=20
    )
    sized = estimate_time(NetworkShape(5_300, (32, 16)), PPOConfig((32, 16)), plan, found)
    assert sized.basis == "calibrated"
    assert 0 < sized.hours.low < sized.hours.high < 1_000


def test_the_command_writes_lines_and_refuses_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "BUSY_PERCENT", 100.0)
    assert command.main(["--force", "--turns", "1"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["machine", "turn", "calibration"]
    monkeypatch.setattr(machine, "BUSY_PERCENT", -1.0)
    monkeypatch.setattr(LoadWatch, "is_busy", property(lambda _: True))
    assert command.main([]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["event"] == "refused"


def test_turns_are_medians_of_what_each_call_took() -> None:
    turns, calls = Turns(torch.device("cpu")), []
    turns.add("task", lambda: calls.append(1))
    turns.take()
    turns.take()
    spread = turns.spread("task")
    assert 0 < spread.fastest <= spread.typical <= spread.slowest < 1
    assert len(calls) > 4  # so short a task is repeated within a turn
    assert turns.difference("task", "task") == [0.0, 0.0]


def test_the_load_is_that_of_others_and_where_unknown_it_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stat, pressure = tmp_path / "stat", tmp_path / "cpu"
    monkeypatch.setattr(machine, "_STAT", stat)
    monkeypatch.setattr(machine, "_PRESSURE", pressure)
    unknown = LoadWatch.begin(0.0).end()
    assert (unknown.busy_percent, unknown.waiting_percent, unknown.stolen_percent) == (None, None, None)
    assert not unknown.loaded
    stat.write_text("cpu 100 0 0 900 0 0 0 0 0 0\n")
    pressure.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n")
    watch = LoadWatch.begin(0.0)
    stat.write_text("cpu 150 0 0 930 0 0 0 20 0 0\n")  # of 100 ticks more 20 were stolen
    load = watch.end()
    assert load.stolen_percent == pytest.approx(20.0)
    assert load.waiting_percent == 0.0
    assert load.loaded
    assert not math.isnan(load.load_average)


def test_a_worker_measures_itself_once(
    registry: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = Calibrator(detect_device(), watch=LoadWatch.begin(0.0))
    made.take()
    line = {
        "event": "calibration",
        "calibration": TypeAdapter(Calibration).dump_python(made.result(), mode="json"),
    }
    script = tmp_path / "child.py"
    script.write_text(f"print({json.dumps(line)!r})")
    name = name_device(detect_device())
    monkeypatch.setattr(at_start, "COMMAND", (sys.executable, "-c", "raise SystemExit('no memory')"))
    assert not at_start.calibrate_once(registry, name)
    monkeypatch.setattr(at_start, "COMMAND", (sys.executable, str(script)))
    assert at_start.calibrate_once(registry, name)
    assert not at_start.calibrate_once(registry, name)
    with registry.read() as session:
        assert len(list_calibrations(session, limit=9)) == 1
