"""The table of legal moves."""

import pytest

from app.errors import IllegalMove
from app.jobs.lifecycle import ENDED, MOVES, RESUME, WITHDRAW, State, check_move


def test_every_state_but_success_can_be_left_and_all_can_be_reached() -> None:
    left = set().union(*(move.sources for move in MOVES))
    assert left == set(State) - {State.SUCCEEDED}
    assert {move.target for move in MOVES} == set(State)


def test_an_ended_job_comes_back_only_by_resume() -> None:
    assert [move for move in MOVES if move.sources & ENDED] == [RESUME]


def test_an_illegal_move_names_state_and_what_is_allowed() -> None:
    check_move(WITHDRAW, State.QUEUED, "job_1")
    with pytest.raises(IllegalMove, match="job job_1 is succeeded; it cannot withdraw") as caught:
        check_move(WITHDRAW, State.SUCCEEDED, "job_1")
    assert caught.value.problem()["state"] == "succeeded"
    assert caught.value.hint == "allowed when: queued"
