"""Who runs next: cases by hand, and that no key waits for ever."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.fair_share import HALF_LIFE_SECONDS, LANDMARK, Waiter, line_up, weigh

START = datetime(2026, 11, 23, tzinfo=UTC)
KEYS = ("", "ada", "bob", "cyd")


def waiter(key: str, minute: int, priority: int = 0) -> Waiter:
    return Waiter(f"{key}{minute}", key, priority, START + timedelta(minutes=minute))


def order(
    *waiters: Waiter, running: dict[str, int] | None = None, used: dict[str, float] | None = None
) -> list[str]:
    return [each.job_id for each in line_up(waiters, running or {}, used or {})]


def test_one_key_s_jobs_go_in_the_order_of_their_queueing() -> None:
    assert order(waiter("", 3), waiter("", 1), waiter("", 2)) == ["1", "2", "3"]


def test_keys_take_turns_however_many_jobs_one_has_queued_before() -> None:
    many = [waiter("ada", minute) for minute in range(4)]
    few = [waiter("bob", minute) for minute in (10, 11)]
    assert order(*many, *few) == ["ada0", "bob10", "ada1", "bob11", "ada2", "ada3"]


def test_the_key_that_runs_fewer_goes_first() -> None:
    jobs = waiter("ada", 0), waiter("ada", 1), waiter("bob", 2), waiter("bob", 3)
    assert order(*jobs, running={"ada": 2}) == ["bob2", "bob3", "ada0", "ada1"]
    assert order(*jobs, running={"ada": 1}) == ["bob2", "ada0", "bob3", "ada1"]


def test_of_keys_that_run_equally_many_the_one_that_used_less_goes_first() -> None:
    jobs = waiter("ada", 0), waiter("bob", 1), waiter("cyd", 2)
    assert order(*jobs, used={"ada": 7_200.0, "bob": 3_600.0}) == ["cyd2", "bob1", "ada0"]


def test_a_higher_priority_goes_before_any_share() -> None:
    jobs = waiter("bob", 0), waiter("ada", 1, priority=1), waiter("ada", 2, priority=-1)
    assert order(*jobs, running={"ada": 9}, used={"ada": 1e9}) == ["ada1", "bob0", "ada2"]


def test_what_a_higher_priority_takes_counts_for_the_turns_below_it() -> None:
    jobs = waiter("ada", 0, priority=5), waiter("ada", 1), waiter("bob", 2), waiter("bob", 3)
    assert order(*jobs) == ["ada0", "bob2", "ada1", "bob3"]


def test_a_second_of_use_counts_half_after_a_week() -> None:
    assert weigh(60.0, LANDMARK) == 60.0
    now = LANDMARK + 30 * HALF_LIFE_SECONDS
    assert weigh(60.0, now - HALF_LIFE_SECONDS) == pytest.approx(weigh(30.0, now))
    assert weigh(1.0, now) > weigh(0.99, now)
    in_2044 = LANDMARK + 18 * 365.25 * 86_400
    assert weigh(1e9, in_2044) < float("inf")


lines = st.lists(
    st.builds(waiter, st.sampled_from(KEYS), st.integers(0, 500), st.integers(-1, 1)),
    max_size=30,
    unique_by=lambda each: each.job_id,
)
counts = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 3))
uses = st.dictionaries(st.sampled_from(KEYS), st.floats(0, 1e6))


@given(lines, counts, uses)
def test_every_job_has_a_place_and_each_turn_goes_to_who_has_least(
    waiters: list[Waiter], running: dict[str, int], used: dict[str, float]
) -> None:
    line = line_up(waiters, running, used)
    assert sorted(each.job_id for each in line) == sorted(each.job_id for each in waiters)
    held, left = dict(running), list(line)
    while left:
        taken = left.pop(0)
        equals = [each for each in left if each.priority == taken.priority]
        assert all(each.priority <= taken.priority for each in left)
        for other in equals:
            mine, theirs = (
                (held.get(each.key, 0), used.get(each.key, 0.0), each.queued_at) for each in (taken, other)
            )
            assert mine <= theirs or other.key == taken.key
        assert all(each.queued_at >= taken.queued_at for each in equals if each.key == taken.key)
        held[taken.key] = held.get(taken.key, 0) + 1


@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 3))
def test_no_key_starves_beside_one_that_always_has_another_job(
    workers: int, waited: int, rivals: int
) -> None:
    """`waited` jobs of every rival are queued before ada's one, and each rival queues another whenever one is taken."""
    names = [f"rival{n}" for n in range(rivals)]
    queued = {name: [waiter(name, n) for n in range(waited)] for name in names}
    mine, running, used = waiter("ada", 1_000), dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    held: list[Waiter] = []
    for turn in range(1_000):
        line = line_up([mine, *(each for jobs in queued.values() for each in jobs)], running, used)
        taken = line[0]
        if taken is mine:
            assert turn <= workers + rivals
            return
        queued[taken.key].remove(taken)
        queued[taken.key].append(waiter(taken.key, 2_000 + turn))
        held.append(taken)
        running[taken.key] += 1
        if len(held) == workers:  # the longest running job ends, and its hour is noted
            ended = held.pop(0)
            running[ended.key] -= 1
            used[ended.key] += 3_600.0
    raise AssertionError("ada's job was never taken")
