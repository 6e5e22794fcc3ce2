"""The table of legal moves."""

from app.errors import IllegalMove
from app.jobs.lifecycle import ENDED, MOVES, RESUME, WITHDRAW, State, refuse_move


def test_every_state_but_success_can_be_left_and_all_can_be_reached() -> None:
    left = set().union(*(move.sources for move in MOVES))
    assert left == set(State) - {State.SUCCEEDED}
    assert {move.target for move in MOVES} == set(State)


def test_an_ended_job_comes_back_only_by_resume() -> None:
    assert [move for move in MOVES if move.sources & ENDED] == [RESUME]


def test_an_illegal_move_names_state_and_what_is_allowed() -> None:
    error = refuse_move("cancelled", WITHDRAW.sources, State.SUCCEEDED, "job_1")
    assert isinstance(error, IllegalMove)
    assert error.detail == "job job_1 is succeeded; it cannot be cancelled"
    assert error.problem()["state"] == "succeeded"
    assert error.hint == "allowed when: queued"
