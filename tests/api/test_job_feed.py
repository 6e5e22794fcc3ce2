"""One reader a job, however many follow; places for followers; those who fall behind, stall, or come too many."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import make_dataset, make_job
from hypothesis import given
from hypothesis import strategies as st
from running_service import Service, eventually, is_problem

from app.api import job_events, job_feed
from app.api.job_events import HEARTBEAT, EventStream, stream_news
from app.api.job_feed import JobFeed, JobFeeds
from app.api.job_news import News
from app.client.events import EventReader
from app.errors import Unavailable
from app.registry.attempts import claim_job, finish_job
from app.registry.database import Database
from app.registry.events import record_event
from app.registry.jobs import add_job
from app.registry.tables import Event
from app.settings import Settings
from tests.api.raw_http import Wire, head

NONE_YET = News([], ended=False)
THE_END = News([], ended=True)


def happened(seq: int) -> Event:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return Event(job_id="job", seq=seq, kind="log", attempt=1, data={"n": seq}, created_at=at)


class Scripted:
    """A registry whose job does what a test says, look by look; counts the looks."""

    def __init__(self, *looks: News | Exception) -> None:
        self.looks = list(looks)
        self.asked: list[int] = []
        self.all: list[Event] = []

    def __call__(self, _database: Database, _job_id: str, seen: int) -> News:
        self.asked.append(seen)
        next_ = self.looks.pop(0) if self.looks else THE_END
        if isinstance(next_, Exception):
            raise next_
        self.all.extend(next_.events)
        return next_


class Whole:
    """A registry with so many events of a job that has ended; counts the looks."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []

    def __call__(self, _database: Database, _job_id: str, seen: int) -> News:
        self.asked.append(seen)
        events = [happened(seq) for seq in range(seen + 1, min(self.count, seen + job_feed.BATCH) + 1)]
        return News(events, ended=not events or events[-1].seq == self.count)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Looks follow one another at once, and go to what the test gives."""

    def install(registry: Any) -> None:
        monkeypatch.setattr(job_feed, "read_news", registry)
        monkeypatch.setattr(job_feed, "POLL_SECONDS", 0.001)

    return install


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def within_a_minute() -> Any:
        return await asyncio.wait_for(work(), 60)

    return asyncio.run(within_a_minute())


async def follow(feeds: JobFeeds, seen: int = 0) -> list[int]:
    """The numbers of the events that a follower is sent."""
    reader, numbers = EventReader(), []
    with feeds.follow("job", seen) as feed:
        async for block in stream_news(feeds, feed, seen, NONE_YET):
            for line in block.decode().splitlines():
                event = reader.feed(line)
                numbers += [event.id] if event else []
    return numbers


def feeds_of(most: int = 10_000) -> JobFeeds:
    return JobFeeds(None, most)  # type: ignore[arg-type]  # the scripts ask no database


@pytest.mark.parametrize("followers", [1, 200])
def test_the_registry_is_asked_as_often_for_many_as_for_one(quick: Any, followers: int) -> None:
    registry = Scripted(*(News([happened(seq)], ended=False) for seq in range(1, 31)))
    quick(registry)

    async def crowd() -> list[list[int]]:
        feeds = feeds_of()
        return list(await asyncio.gather(*(follow(feeds) for _ in range(followers))))

    assert run(crowd) == [list(range(1, 31))] * followers
    assert registry.asked == list(range(31)), "one look each"


def test_each_event_is_formatted_once_for_all(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(Scripted(*(News([happened(seq)], ended=False) for seq in range(1, 6))))
    formatted: list[int] = []
    format_event = job_feed.format_event
    monkeypatch.setattr(
        job_feed, "format_event", lambda event: formatted.append(event.seq) or format_event(event)
    )

    async def crowd() -> None:
        feeds = feeds_of()
        await asyncio.gather(*(follow(feeds) for _ in range(20)))

    run(crowd)
    assert formatted == [1, 2, 3, 4, 5]


@given(kept=st.integers(1, 40), count=st.integers(0, 120), seen=st.integers(0, 130), batch=st.integers(1, 30))
def test_no_event_is_missed_or_doubled_however_far_behind(
    kept: int, count: int, seen: int, batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_feed, "KEPT", kept)
        patch.setattr(job_feed, "BATCH", batch)
        patch.setattr(job_feed, "POLL_SECONDS", 0.0)
        patch.setattr(job_feed, "read_news", Whole(count))

        async def crowd() -> list[list[int]]:
            feeds = feeds_of()
            return list(await asyncio.gather(follow(feeds), follow(feeds, seen), follow(feeds, count)))

        assert run(crowd) == [list(range(1, count + 1)), list(range(seen + 1, count + 1)), []]


def test_a_feed_holds_the_newest_events_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_feed, "KEPT", 3)

    async def publish() -> tuple[int, list[int]]:
        feed = JobFeed("job", 10)
        feed.publish(News([happened(seq) for seq in range(11, 18)], ended=False))
        return feed.begins, [told.seq for told in feed.after(14)]

    assert run(publish) == (14, [15, 16, 17])


def test_a_registry_that_is_away_is_waited_for_and_told_once_a_look(quick: Any, capsys: Any) -> None:
    quick(Scripted(Unavailable("away"), News([happened(1)], ended=False), Unavailable("away")))
    assert run(lambda: follow(feeds_of())) == [1]


def test_a_reader_that_fails_ends_its_followers_streams(quick: Any, capsys: Any) -> None:
    quick(Scripted(News([happened(1)], ended=False), RuntimeError("never seen")))
    assert run(lambda: follow(feeds_of())) == [1]


def test_silence_is_filled_with_heartbeats(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(Scripted())
    monkeypatch.setattr(job_events, "HEARTBEAT_SECONDS", 0.001)
    monkeypatch.setattr(job_feed, "read_news", lambda *_: NONE_YET)

    async def listen() -> list[bytes]:
        feeds = feeds_of()
        with feeds.follow("job", 0) as feed:
            stream = stream_news(feeds, feed, 0, NONE_YET)
            return [await anext(stream) for _ in range(3)]

    assert run(listen) == [b"retry: 2000\n\n", HEARTBEAT, HEARTBEAT]


def test_a_follower_who_comes_after_the_end_gets_a_new_reader(quick: Any) -> None:
    """The job may have been resumed."""
    quick(Scripted(THE_END, News([happened(1)], ended=False)))

    async def twice() -> tuple[list[int], list[int]]:
        feeds = feeds_of()
        with feeds.follow("job", 0) as ended:
            assert ended.reader is not None
            await asyncio.wait([ended.reader])
            second = await follow(feeds)
        return second, list(feeds.followed)

    assert run(twice) == ([1], [])


def test_a_reader_ends_with_its_last_follower(quick: Any) -> None:
    quick(lambda *_: NONE_YET)

    async def leave() -> tuple[bool, tuple[str, ...], int]:
        feeds = feeds_of()
        with feeds.follow("job", 0) as feed:
            with feeds.follow("job", 0) as same:
                assert same is feed
            assert feeds.followed == ("job",)
        assert feed.reader is not None
        await asyncio.wait([feed.reader])
        return feed.reader.cancelled(), feeds.followed, feeds.followers

    assert run(leave) == (True, (), 0)


def test_a_follower_that_reads_nothing_is_let_go(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(lambda *_: NONE_YET)
    monkeypatch.setattr(job_events, "STALLED_SECONDS", 0.01)
    monkeypatch.setattr(job_events, "HEARTBEAT_SECONDS", 0.001)

    async def stall() -> int:
        feeds, sent = feeds_of(), []

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) > 3:
                await asyncio.Event().wait()

        async def receive() -> Any:
            await asyncio.Event().wait()

        await EventStream(feeds, "job", 0, NONE_YET)({"type": "http"}, receive, send)
        return feeds.followers

    assert run(stall) == 0


@pytest.fixture
def job_id(registry: Database) -> str:
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        return str(add_job(session, make_job(dataset)).id)


@pytest.fixture
def small_service(settings: Settings, make_service: Any) -> Iterator[Service]:
    with make_service(settings.model_copy(update={"max_followers": 2})) as service:
        yield service


def test_more_followers_than_places_are_told_to_come_back(small_service: Service, job_id: str) -> None:
    path = f"/jobs/{job_id}/events"
    with Wire(small_service.url) as first, Wire(small_service.url) as second:
        for wire in (first, second):
            wire.send(head("GET", path))
            assert wire.socket.recv(15) == b"HTTP/1.1 200 OK"
        refused = small_service.get(path)
        problem = is_problem(refused, 503, "unavailable")
        assert (problem["limit_name"], problem["limit"]) == ("max_followers", 2)
        assert refused.headers["retry-after"]
        assert small_service.get("/healthz").status_code == 200
        second.cut()
        eventually(lambda: small_service.parts.feeds.followers == 1)
        with small_service.http.stream("GET", path) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_lines()) == "retry: 2000"


def test_a_crowd_over_http_gets_every_event_in_order(
    service: Service, registry: Database, job_id: str
) -> None:
    wires = [Wire(service.url) for _ in range(50)]
    for wire in wires:
        wire.send(head("GET", f"/jobs/{job_id}/events"))
    eventually(lambda: service.parts.feeds.followers == len(wires))
    assert service.parts.feeds.followed == (job_id,)
    with registry.write() as session:
        claim = claim_job(session, job_id, "worker", 60)
    assert claim is not None
    for number in range(20):
        with registry.write() as session:
            record_event(session, job_id, "log", {"message": str(number)})
    with registry.write() as session:
        assert finish_job(session, claim.hold, {})
    for wire in wires:
        answer, reader = wire.answer(), EventReader()
        assert answer is not None
        events = [event for line in answer.body.decode().splitlines() if (event := reader.feed(line))]
        assert [event.id for event in events] == list(range(1, 24))
        wire.socket.close()
    eventually(lambda: service.parts.feeds.followers == 0)
