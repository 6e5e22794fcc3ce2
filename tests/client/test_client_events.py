"""The reader of event streams, against the standard's own rules."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.client.events import Event, EventReader


def read(text: str, after: int = 0) -> list[Event]:
    reader = EventReader(after)
    found = (reader.feed(line) for line in text.split("\n"))
    return [event for event in found if event is not None]


def test_fields_in_any_order_make_one_event() -> None:
    assert read('id: 7\ndata: {"a": 1}\nevent: progress\n\n') == [Event(7, "progress", {"a": 1})]


def test_data_lines_are_joined() -> None:
    assert read('data: {"a":\ndata: 1}\nid: 1\n\n') == [Event(1, "message", {"a": 1})]


def test_one_space_after_the_colon_is_dropped_and_none_is_needed() -> None:
    assert read('event:state\nid:2\ndata:{"s":" x"}\n\n') == [Event(2, "state", {"s": " x"})]


def test_comments_and_unknown_fields_say_nothing() -> None:
    assert read(": still here\n\nfoo: bar\n\n") == []


def test_an_event_without_data_is_none() -> None:
    assert read("event: state\nid: 3\n\n") == []


def test_a_half_event_is_forgotten_on_restart() -> None:
    reader = EventReader()
    assert reader.feed('data: {"a": 1}') is None
    reader.restart()
    assert reader.feed("") is None
    assert reader.last_id == 0


def test_an_event_without_id_keeps_the_last_one() -> None:
    assert [event.id for event in read("data: {}\nid: 4\n\ndata: {}\n\n")] == [4, 4]


def test_the_last_id_begins_where_the_reader_is_told() -> None:
    assert EventReader(41).last_id == 41


def test_retry_is_read_in_seconds() -> None:
    reader = EventReader()
    for line in ("retry: 1500", "retry: soon", ""):
        reader.feed(line)
    assert reader.retry_seconds == 1.5


def test_values_that_are_no_objects_are_wrapped() -> None:
    assert read("data: 5\nid: 1\n\n") == [Event(1, "message", {"value": 5})]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["state", "progress", "log"]),
            st.dictionaries(st.text(), st.integers() | st.text()),
        )
    )
)
def test_whatever_is_written_is_read_back(sent: Any) -> None:
    text = "".join(
        f"event: {kind}\nid: {number}\ndata: {json.dumps(data)}\n\n"
        for number, (kind, data) in enumerate(sent, 1)
    )
    wanted = [Event(number, kind, data) for number, (kind, data) in enumerate(sent, 1)]
    assert read(text) == wanted
