"""A job's events as a live bar and as plain lines."""

import io

import pytest
from rich.console import Console

from app.cli.progress import RunState, describe, figures_line, follow_events, headline
from app.client import Event

PROGRESS = {
    "global_step": 50_000,
    "total_timesteps": 200_000,
    "steps_per_second": 1234.5,
    "seconds_left": 121.0,
    "episode_return": -0.0123,
    "policy_loss": -0.0021,
    "value_loss": 0.0042,
}
EVENTS = [
    Event(1, "state", {"state": "queued"}),
    Event(2, "state", {"state": "running", "worker": "gpu-1"}),
    Event(3, "progress", PROGRESS),
    Event(4, "progress", {**PROGRESS, "global_step": 60_000}),
    Event(5, "checkpoint", {"id": "checkpoint_1", "step": 60_000, "bytes": 10, "predicted_bytes": 10}),
    Event(6, "state", {"state": "succeeded"}),
]


def shown(*, terminal: bool, width: int = 80, events: list[Event] = EVENTS) -> tuple[str, RunState]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, highlight=False, _environ={})
    run = follow_events(events, console, indent=2)
    return file.getvalue(), run


def test_without_a_terminal_there_are_plain_lines() -> None:
    text, run = shown(terminal=False)
    assert "\x1b" not in text
    assert text.splitlines() == [
        "  queued",
        "  running on gpu-1",
        "   25%  step 50,000  2 min 1 s left  1,234 steps/s · return -0.012 · policy loss -0.0021 · value loss 0.0042",
        "  checkpoint at step 60,000: 10 bytes as predicted (checkpoint_1)",
        "  succeeded",
    ]
    assert run.state == "succeeded"


def test_on_a_terminal_the_bar_stands_still_at_the_end() -> None:
    text, run = shown(terminal=True)
    assert "60,000 of 200,000 steps" in text
    assert "running on gpu-1" in text
    assert run.share == pytest.approx(0.3)


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_lines_fit_the_terminal(width: int) -> None:
    run = RunState("running", {**PROGRESS, "global_step": 99_999_999, "total_timesteps": 500_000_000})
    assert headline(run).cell_len + 2 <= width
    assert len(figures_line(run)) + 2 <= width


def test_a_run_that_has_not_begun_shows_its_state() -> None:
    assert "queued" in headline(RunState()).plain
    assert RunState().share == 0.0


def test_a_last_update_may_pass_the_total() -> None:
    run = RunState("running", {"global_step": 2_048, "total_timesteps": 2_000})
    assert run.share == 1.0
    assert "left" not in headline(run).plain


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event(1, "state", {"state": "failed", "error": {"detail": "NaN"}}), "failed: NaN"),
        (Event(1, "state", {"state": "queued", "reason": "signal 9"}), "queued: signal 9"),
        (Event(1, "log", {"message": "resumed", "step": 5, "attempt": 2, "at": "now"}), "resumed (step 5)"),
        (Event(1, "cancel", {}), "asked to checkpoint and stop"),
        (
            Event(1, "checkpoint", {"id": "c", "step": 1, "bytes": 2, "predicted_bytes": 3}),
            "checkpoint at step 1: 2 bytes (c)",
        ),
        (Event(1, "unheard-of", {"a": 1}), ""),
    ],
)
def test_events_in_words(event: Event, line: str) -> None:
    assert describe(event) == line


def test_what_a_log_line_says_cannot_steer_the_terminal() -> None:
    text, _ = shown(terminal=False, events=[Event(1, "log", {"message": "\x1b[2J[red]x"})])
    assert "\x1b" not in text
    assert "[red]x" in text
