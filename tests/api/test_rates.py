"""Token buckets, by a clock of the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from app.api import rates
from app.api.rates import TokenBuckets


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    buckets = TokenBuckets(rate=2.0, burst=3, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    clock.now += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 0.5]
    clock.now += 100.0
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_each_name_has_its_own() -> None:
    buckets = TokenBuckets(1.0, 1, Clock())
    assert buckets.take("a") == 0.0
    assert buckets.take("b") == 0.0
    assert buckets.take("a") == 1.0


def test_a_token_that_is_given_back_can_be_taken_again() -> None:
    buckets = TokenBuckets(1.0, 1, Clock())
    for _ in range(5):
        assert buckets.take("a") == 0.0
        buckets.give_back("a")
    buckets.give_back("a")
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 1.0]


def test_names_that_come_without_end_fill_no_memory() -> None:
    buckets = TokenBuckets(1.0, 1, Clock())
    for number in range(rates.MOST_NAMES + 50):
        buckets.take(str(number))
    assert len(buckets._buckets) == rates.MOST_NAMES


@given(st.lists(st.floats(0, 10), max_size=60), st.integers(1, 20), st.floats(0.1, 50))
def test_never_more_than_burst_and_rate_allow(pauses: list[float], burst: int, rate: float) -> None:
    clock = Clock()
    buckets = TokenBuckets(rate, burst, clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += buckets.take("a") == 0.0
        assert taken <= burst + rate * sum(pauses) + 1e-6
