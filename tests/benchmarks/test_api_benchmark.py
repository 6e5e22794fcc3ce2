"""The load generator of benchmarks/api.py: whole answers are counted, however they arrive; questions differ."""

from benchmarks.api import Asker, different, spread

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


class Wire:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)


def test_each_whole_answer_is_followed_by_the_next_question() -> None:
    wire, count = Wire(), [0, 0]
    asker = Asker(lambda: "/hello", count)
    asker.connection_made(wire)  # type: ignore[arg-type]
    for at in range(1, len(ANSWER)):
        asker.data_received(ANSWER[:at])
        assert count[0] == at - 1
        asker.data_received(ANSWER[at:])
        assert count == [at, 5]
        assert len(wire.sent) == at + 1
    assert wire.sent[0].startswith(b"GET /hello HTTP/1.1\r\n")
    asker.asking = False
    asker.data_received(ANSWER)
    assert len(wire.sent) == len(ANSWER)


def test_all_different_questions_are_different() -> None:
    assert len({different(number) for number in range(5000)}) == 5000


def test_a_spread_is_median_and_quartiles() -> None:
    assert spread([1.0, 2.0, 3.0]) == "2.000 [1.000, 3.000]"
