"""The verdict on hand-made runs, and what the child process writes."""

import json
import math

import pytest

from worker.selftest.__main__ import main
from worker.selftest.checks import FALSE_ALARM_RATE, FALSE_ALARM_Z, Run, Scale, judge_runs


def leak(sharpe: float | None, z: float = 20.0) -> Run:
    return Run("leaked_future", 1, sharpe, z, 1.0, 10, oracle_sharpe=50.0)


def null(z: float) -> Run:
    return Run("shuffled_returns", 2, 1.0, z, 0.1, 10)


@pytest.mark.parametrize(
    ("runs", "found", "holds"),
    [
        ([leak(45.0), null(0.0)], True, True),
        ([leak(44.9), null(0.0)], False, True),
        ([leak(None, 0.0), null(0.0)], False, True),
        ([leak(50.0, z=2.0), null(0.0)], False, True),
        ([leak(50.0), leak(10.0), null(0.0)], False, True),
        ([leak(50.0), null(2.4)], True, False),
        ([leak(50.0), *[null(1.2)] * 4], True, False),  # 4·1.2/√4 = 2.4
        ([leak(50.0), *[null(1.1)] * 4], True, True),
        ([leak(50.0), null(2.4), null(-2.4)], True, True),
    ],
)
def test_verdicts(runs: list[Run], found: bool, holds: bool) -> None:
    verdict = judge_runs(runs)
    assert (verdict.leak_found, verdict.null_holds, verdict.passed) == (found, holds, found and holds)


def test_the_limit_is_the_stated_quantile() -> None:
    assert 0.5 * math.erfc(FALSE_ALARM_Z / math.sqrt(2)) == pytest.approx(FALSE_ALARM_RATE, rel=0.01)


def test_lines_are_json_and_the_exit_code_is_the_verdict(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.selftest.checks.leak_future", lambda market: market)
    monkeypatch.setattr("worker.selftest.__main__.use_one_thread", lambda: None)
    tiny = Scale(bars=1_300, leak_seeds=(1,), leak_steps=1_024, null_seeds=(2,), null_steps=1_024)
    code = main(tiny)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["plan", "run", "run", "verdict"]
    assert lines[0]["scale"]["null_seeds"] == [2]
    assert lines[0]["costs"]["fee_bps"] > 0
    assert lines[-1]["passed"] is (code == 0)
    assert code == 1  # there was no leak to find
