"""Why a job waits, in words: no worker, no broker, others before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.jobs.fair_share import Waiter
from app.jobs.lifecycle import State
from app.network.tiers import TIERS
from app.registry.claims import running_by_key
from app.registry.consumption import busy_workers
from app.registry.database import Session
from app.registry.queue_state import MOST_WAITING, line_of
from app.registry.tables import Job, Worker
from app.registry.workers import known_workers, live_workers, queues_of
from app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a tier's queue stands: what a waiting job's reason depends on."""

    tier: str
    """The tier."""
    workers: int = 0
    """Live workers that take jobs from its queue."""
    busy: int = 0
    """Those of them that hold a job."""
    leaving: int = 0
    """Live workers of the tier that take no more jobs."""
    newest_plan: int = 0
    """The newest plans that its workers read."""
    last_seen: float | None = None
    """When a worker of the tier was last heard of, in epoch seconds; None where none ever was."""
    served: tuple[str, ...] = ()
    """Tiers that have a worker."""
    broker: str = "ok"
    """`ok`, or why the broker does not answer."""
    running: Mapping[str, int] | None = None
    """How many of the tier's jobs each key runs."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All workers, and the broker that wakes them."""

    live: Sequence[Worker]
    known: Sequence[Worker]
    busy: frozenset[str]
    broker: str

    def stand(self, tier: str, queue: str, served: tuple[str, ...], running: Mapping[str, int]) -> Standing:
        """How one tier's queue stands."""
        takers = [worker for worker in self.live if queue in queues_of(worker)]
        heard = [max(each.seen_at, each.left_at or 0.0) for each in self.known if each.queue == queue]
        return Standing(
            tier=tier,
            workers=len(takers),
            busy=sum(worker.id in self.busy for worker in takers),
            leaving=sum(worker.queue == queue and worker.drain is not None for worker in self.live),
            newest_plan=max((worker.plan_version for worker in takers), default=0),
            last_seen=max(heard, default=None),
            served=served,
            broker=self.broker,
            running=running,
        )


def read_standing(session: Session, settings: Settings, broker: str) -> dict[str, Standing]:
    """How every tier's queue stands, by the tier's name."""
    live = live_workers(session, settings.lease_seconds)
    fleet = Fleet(live, known_workers(session), busy_workers(session), broker)
    names = {tier: settings.queue_name(tier) for tier in TIERS}
    taken = {name for worker in live for name in queues_of(worker)}
    served = tuple(tier for tier, name in names.items() if name in taken)
    return {
        tier: fleet.stand(tier, name, served, running_by_key(session, name)) for tier, name in names.items()
    }


def why_waiting(session: Session, settings: Settings, job: Job, broker: str) -> str | None:
    """Why this job waits; None where it does not."""
    if job.state != State.QUEUED:
        return None
    standing = read_standing(session, settings, broker).get(job.tier) or Standing(tier=job.tier)
    line = line_of(session, job.queue)
    place = next((n for n, waiter in enumerate(line, start=1) if waiter.job_id == job.id), None)
    return explain_wait(standing, line, place, job.plan_version)


def explain_wait(standing: Standing, line: Sequence[Waiter], place: int | None, plan_version: int = 1) -> str:
    """Why the job at this place of a tier's line does not run yet; None: it is not among the first 1,000."""
    if standing.workers == 0:
        return _no_worker(standing)
    if standing.broker != "ok":
        return "the broker that wakes the workers does not answer; the job starts once it does"
    if plan_version > standing.newest_plan:
        return (
            f"its plan has version {plan_version}, the workers of tier {standing.tier} read up to "
            f"{standing.newest_plan}: it waits for a newer worker"
        )
    if place is not None and place <= standing.workers - standing.busy:
        return f"a worker of tier {standing.tier} is free and about to take it"
    before = "next in line" if place == 1 else f"{_count(place)} before it"
    share = _fair_share(standing, line, place) if place is not None else ""
    return f"tier {standing.tier}: {_workers(standing)}; {before}{share}"


def _no_worker(standing: Standing) -> str:
    others = f"; tiers with one: {', '.join(standing.served)}" if standing.served else ""
    if standing.leaving:
        return f"the last worker of tier {standing.tier} is leaving and takes no more jobs{others}"
    if standing.last_seen is None:
        return f"no worker of tier {standing.tier} was ever seen{others}"
    since = datetime.fromtimestamp(standing.last_seen, UTC)
    return f"no worker of tier {standing.tier} is alive since {since:%Y-%m-%d %H:%M:%S} UTC{others}"


def _workers(standing: Standing) -> str:
    if standing.workers == 1:
        return "1 worker, busy" if standing.busy else "1 worker, free"
    if standing.busy < standing.workers:
        return f"{standing.workers} workers, {standing.busy} busy"
    return f"{standing.workers} workers, {'both' if standing.workers == 2 else 'all'} busy"


def _count(place: int | None) -> str:
    if place is None:
        return f"more than {MOST_WAITING:,} jobs"
    return "1 job" if place == 2 else f"{place - 1:,} jobs"


def _fair_share(standing: Standing, line: Sequence[Waiter], place: int) -> str:
    """Told where a job of another key that was queued later goes first."""
    own, running = line[place - 1], standing.running or {}
    count = running.get(own.key, 0)
    overtaken = any(
        each.key != own.key and each.priority == own.priority and each.queued_at > own.queued_at
        for each in line[: place - 1]
    )
    if not overtaken:
        return ""
    if not count:
        return "; fair share: keys take turns"
    return f"; fair share: its key runs {count} of {sum(running.values())}, so that others go first"
