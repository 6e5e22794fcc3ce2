"""What happens to jobs, read once and told to all who follow: one reader a job, however many listen.

A follower keeps nothing but the number of the last event that it sent, so that one who reads slowly delays and
costs nobody. Whoever is further behind than what the feed still holds reads on from the registry by itself.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from anyio import CapacityLimiter, Event, sleep, to_thread

from app.api.job_news import BATCH, News, format_event, read_news
from app.errors import Unavailable
from app.registry import tables
from app.registry.database import Database

POLL_SECONDS = 0.5
"""Time between two looks for news of a job."""
KEPT = 2_000
"""Newest events of a job that its feed holds, as the stream carries them."""
PARALLEL_READS = 4
"""Looks into the registry at the same time, for all followers together: a crowd leaves the other threads free."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Told:
    """An event as the stream carries it, made once for all followers."""

    seq: int
    text: bytes


class JobFeed:
    """The newest events of one job: all above `begins`, up to `seen`."""

    def __init__(self, job_id: str, seen: int) -> None:
        self.job_id = job_id
        self.begins = seen
        self.seen = seen
        self.ended = False
        self.followers = 0
        self.changed = Event()
        """Set, and replaced by another one, whenever there is news."""
        self.reader: asyncio.Task[None] | None = None
        self._recent: deque[Told] = deque()

    def publish(self, news: News) -> None:
        """Hold the events and wake all followers."""
        for event in news.events:
            self._recent.append(_tell(event))
            self.seen = event.seq
        while len(self._recent) > KEPT:
            self.begins = self._recent.popleft().seq
        self.ended = self.ended or news.ended
        if news.events or news.ended:
            changed, self.changed = self.changed, Event()
            changed.set()

    def after(self, seen: int) -> list[Told]:
        """The events above `seen`, which must not lie below `begins`."""
        missing = []
        for told in reversed(self._recent):
            if told.seq <= seen:
                break
            missing.append(told)
        return missing[::-1]


class JobFeeds:
    """The feeds of all jobs that somebody follows, and how many do."""

    def __init__(self, database: Database, most_followers: int) -> None:
        self.database = database
        self.most_followers = most_followers
        self.followers = 0
        self.reads = 0
        """Looks into the registry so far, for all followers together."""
        self.ending = False
        self._feeds: dict[str, JobFeed] = {}
        self._limiter: CapacityLimiter | None = None

    def end(self) -> None:
        """End every stream and begin no other: the process stops, and its followers go on at another one."""
        self.ending = True
        for feed in list(self._feeds.values()):
            feed.publish(News([], ended=True))

    @property
    def followed(self) -> tuple[str, ...]:
        """The jobs that are read."""
        return tuple(self._feeds)

    def require_room(self) -> None:
        """Raise Unavailable where as many streams are open as may be."""
        if self.ending:
            raise Unavailable("this process is about to stop", hint="come back: another one answers")
        if self.followers >= self.most_followers:
            raise Unavailable(
                f"{self.followers:,} event streams are open, as many as may be",
                hint="come back later, or ask GET /jobs/{id} now and then; CALIPER_MAX_FOLLOWERS sets the limit",
                limit_name="max_followers",
                limit=self.most_followers,
            )

    @contextmanager
    def follow(self, job_id: str, seen: int) -> Iterator[JobFeed]:
        """The job's feed, while somebody listens; its reader begins with the first and ends with the last."""
        self.require_room()
        feed = self._feeds.get(job_id)
        if feed is None:
            feed = self._feeds[job_id] = JobFeed(job_id, seen)
            feed.reader = asyncio.create_task(self._read_on(feed), name=f"feed of {job_id}")
        self.followers += 1
        feed.followers += 1
        try:
            yield feed
        finally:
            self.followers -= 1
            feed.followers -= 1
            if not feed.followers:
                self._drop(feed)
                if feed.reader is not None:
                    feed.reader.cancel()

    async def after(self, feed: JobFeed, seen: int) -> list[Told]:
        """What somebody who saw as much has missed so far: of the feed or, where it goes not so far back, read anew."""
        if seen >= feed.begins:
            return feed.after(seen)
        news = await self._look(feed.job_id, seen)
        return list(map(_tell, news.events))

    async def read(self, job_id: str, seen: int) -> News:
        """The next batch above `seen`, read in a thread. Raises NotFound and Unavailable."""
        if self._limiter is None:  # it belongs to the event loop, which runs by now
            self._limiter = CapacityLimiter(PARALLEL_READS)
        self.reads += 1
        return await to_thread.run_sync(read_news, self.database, job_id, seen, limiter=self._limiter)

    async def _read_on(self, feed: JobFeed) -> None:
        """Ask for news until the job has ended."""
        while not feed.ended:
            news = await self._look(feed.job_id, feed.seen)
            feed.publish(news)
            if len(news.events) < BATCH and not feed.ended:
                await sleep(POLL_SECONDS)
        self._drop(feed)  # whoever comes now begins anew: the job may have been resumed

    async def _look(self, job_id: str, seen: int) -> News:
        try:
            return await self.read(job_id, seen)
        except Unavailable as error:
            log.warning("the event stream waits for the registry", job_id=job_id, error=error.detail)
            return News([], ended=False)
        except Exception:
            log.exception("the event stream breaks off", job_id=job_id)
            return News([], ended=True)  # its followers come back and hear the reason

    def _drop(self, feed: JobFeed) -> None:
        if self._feeds.get(feed.job_id) is feed:
            del self._feeds[feed.job_id]


def _tell(event: tables.Event) -> Told:
    return Told(event.seq, format_event(event))
