"""Latency of one decision: engines agree on the same weights; a busy machine is refused."""

import json
import os

import pytest
import torch

from app.network.shape import NetworkShape
from worker.calibrate import latency
from worker.calibrate.machine import LoadWatch

SHAPE = NetworkShape(12, (8, 4), 3)


def test_engines_agree_and_quantiles_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(latency, "FEWEST_BLOCKS", 2)
    found = latency.measure_network(SHAPE, 0.0)
    assert [each.engine.split()[0] for each in found] == ["torch", "ONNX"]
    for each in found:
        assert each.calls == 2 * latency.BLOCK
        assert 0 < each.p50 <= each.p99 <= each.p999 <= each.max
        assert each.max_difference < 1e-5


def test_a_gaussian_policy_has_its_mean_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(latency, "FEWEST_BLOCKS", 1)
    found = latency.measure_network(NetworkShape(12, (8,), 2, "gaussian"), 0.0)
    assert found[1].max_difference < 1e-5


def test_the_command_pins_itself_and_refuses_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(latency, "FEWEST_BLOCKS", 1)
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    try:
        assert latency.main(["--hidden", "8,4", "--obs-dim", "12", "--seconds", "0", "--force"]) == 0
        assert len(os.sched_getaffinity(0)) == 1
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["event"] for line in lines] == ["machine", "network", "verdict"]
        assert lines[1]["hidden_dims"] == [8, 4]
        monkeypatch.setattr(LoadWatch, "is_busy", property(lambda _: True))
        assert latency.main(["--hidden", "8,4"]) == 1
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["event"] == "refused"
    finally:
        os.sched_setaffinity(0, before)
        torch.set_num_threads(threads)
