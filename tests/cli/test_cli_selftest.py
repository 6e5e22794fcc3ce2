"""`caliper selftest` around its child process: progress, figures, verdict, exit code, and what can go wrong."""

import json
import sys
from typing import Any

import pytest
from command_line import CommandLine

from app.cli import selftest

PLAN: dict[str, Any] = {
    "event": "plan",
    "scale": {"leak_seeds": [1], "leak_steps": 40_000, "null_seeds": [2], "null_steps": 20_000},
    "costs": {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300},
    "near_optimal": 0.9,
    "false_alarm_z": 2.326,
    "false_alarm_rate": 0.01,
}
LEAK = {
    "event": "run",
    "check": "leaked_future",
    "seed": 1,
    "sharpe": 74.9,
    "oracle_sharpe": 75.0,
    "z": 26.0,
    "trades": 9,
    "found": True,
}
NULL = {"event": "run", "check": "shuffled_returns", "seed": 2, "sharpe": None, "z": 0.0, "trades": 0}


def verdict(**values: Any) -> dict[str, Any]:
    sound = {"leak_found": True, "null_holds": True, "leak_z": 26.0, "null_z": -0.4, "passed": True}
    return {"event": "verdict", "seconds": 61.5, **sound, **values}


def child(monkeypatch: pytest.MonkeyPatch, *events: dict[str, Any], then: str = "") -> None:
    """Play these lines in place of the real child, which trains for a minute."""
    script = "".join(f"print({json.dumps(event)!r}, flush=True)\n" for event in events)
    monkeypatch.setattr(selftest, "COMMAND", (sys.executable, "-c", script + then))


def test_progress_goes_to_stderr_and_the_verdict_to_stdout(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, PLAN, LEAK, NULL, verdict())
    done = caliper("selftest")
    assert done.exit_code == 0
    assert "1 runs of 40,000 steps" in done.stderr
    assert "probability 1% at most" in done.stderr
    assert "1/2  leaked future, seed 1: Sharpe 74.90 of 75.00 possible, found" in done.stderr
    assert "2/2  shuffled returns, seed 2" in done.stderr
    assert "passed in 61.5 s" in done.stdout
    assert "pooled z -0.40, limit 2.33" in done.stdout


@pytest.mark.parametrize(
    ("broken", "words"),
    [({"leak_found": False}, "does not learn what is there"), ({"null_holds": False}, "not to be trusted")],
)
def test_a_failed_check_gives_exit_code_1_and_says_what_it_means(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], words: str
) -> None:
    child(monkeypatch, PLAN, LEAK, NULL, verdict(passed=False, **broken))
    done = caliper("selftest")
    assert done.exit_code == 1
    assert "FAILED" in done.stdout
    assert words in done.stdout


def test_json_holds_plan_runs_and_verdict(caliper: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, PLAN, LEAK, NULL, verdict())
    found = json.loads(caliper("selftest", "--json").stdout)
    assert found["plan"]["near_optimal"] == 0.9
    assert [run["check"] for run in found["runs"]] == ["leaked_future", "shuffled_returns"]
    assert found["verdict"]["passed"] is True


def test_a_child_that_dies_is_told_with_its_last_words(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, PLAN, then="raise SystemExit('no memory left')")
    done = caliper("selftest")
    assert done.exit_code == 1
    assert "ended without a verdict: no memory left" in done.stderr


def test_without_the_worker_extra_the_message_says_what_to_install(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "find_spec", lambda name: None if name == "torch" else object())
    done = caliper("selftest")
    assert done.exit_code == 1
    assert "torch cannot be imported" in done.stderr
    assert "caliper[worker]" in done.stderr


def test_the_real_child_is_the_workers_selftest() -> None:
    assert selftest.COMMAND[1:] == ("-P", "-m", "worker.selftest")
    selftest.require_worker()
