"""What goes wrong: each function does one real harm to the stack and says by what its recovery is known."""

import random
import signal
import struct
from collections.abc import Callable
from typing import Any

import psutil
import redis
from sqlalchemy import text

from app.jobs.lifecycle import ENDED
from app.registry.attempts import list_attempts
from app.registry.database import Session
from app.registry.events import events_after
from app.registry.job_lists import list_jobs
from app.registry.jobs import get_job
from app.registry.tables import Job
from benchmarks.chaos_harm import FullDisk, Harm, kill, later, tell
from benchmarks.chaos_relay import kill_after_publish, kill_before_publish
from benchmarks.chaos_stack import Kept, Stack

POISON = 3
"""Attempts of a job that is killed whenever it trains; other faults leave it alone."""

FULL_SECONDS = 60.0
"""Longest that a disk is full, heard of or not."""

CLOCK_STEPS = (-86_400, -3_600, -61, 61, 3_600, 86_400, 40 * 86_400)
"""Seconds by which clocks are stepped, before and behind."""


def kill_trainer(stack: Stack, rng: random.Random) -> Harm | None:
    """SIGKILL to a trainer that has trained for a while: there is something that must not be lost."""
    job = running_job(stack, rng, training=True)
    trainers = stack.trainers(job.id) if job else []
    if job is None or not trainers:
        return None
    kill(*trainers)
    return lost("SIGKILL trainer", stack, job)


def kill_child(stack: Stack, rng: random.Random) -> Harm | None:
    """SIGKILL to the Celery child that supervises a trainer."""
    job = running_job(stack, rng)
    supervisors = stack.supervisors(job.id) if job else []
    if job is None or not supervisors:
        return None
    kill(*supervisors)
    return lost("SIGKILL Celery child", stack, job)


def kill_worker(stack: Stack, rng: random.Random) -> Harm | None:
    """SIGKILL to a worker's whole family."""
    held = holder(stack, rng)
    if held is None:
        return None
    job, worker = held
    worker.send(signal.SIGKILL)
    return lost("SIGKILL whole worker", stack, job)


def freeze_worker(stack: Stack, rng: random.Random) -> Harm | None:
    """SIGSTOP to a worker's family until its lease is lost, then SIGCONT: it comes back stale."""
    held = holder(stack, rng)
    if held is None:
        return None
    job, worker = held
    frozen = worker.processes()
    return freeze("SIGSTOP worker past its lease", stack, job, frozen)


def freeze_supervisor(stack: Stack, rng: random.Random) -> Harm | None:
    """SIGSTOP to the supervisor alone: its trainer trains on without heartbeats, and must not finish."""
    job = running_job(stack, rng)
    supervisors = stack.supervisors(job.id) if job else []
    if job is None or not supervisors:
        return None
    return freeze("SIGSTOP supervisor past its lease", stack, job, supervisors)


def kill_api(stack: Stack, rng: random.Random) -> Harm:
    """SIGKILL to an API process, its relay and its sweeps with it."""
    rng.choice(stack.apis).send(signal.SIGKILL)
    return Harm("SIGKILL API", "an API", stack.is_ready)


def kill_redis(stack: Stack, _rng: random.Random) -> Harm:
    """SIGKILL to Redis, which is started again a second later from its append-only file."""
    stack.redis.send(signal.SIGKILL)
    return Harm("SIGKILL Redis", "Redis", stack.is_ready)


def flush_redis(stack: Stack, _rng: random.Random) -> Harm | None:
    """FLUSHALL: every message is gone."""
    if not ask_redis(stack, lambda client: client.flushall()):
        return None
    return Harm("Redis emptied (FLUSHALL)", "Redis", stack.is_ready)


def double_messages(stack: Stack, rng: random.Random) -> Harm | None:
    """Every waiting message thrice, and messages for jobs that run or are done."""
    jobs = any_jobs(stack, rng, 3)

    def double(client: Any) -> None:
        key = f"{stack.settings.queue_prefix}:{stack.settings.queue_name('cpu')}"
        waiting = client.lrange(key, 0, -1)
        client.rpush(key, *waiting, *waiting) if waiting else None

    if not ask_redis(stack, double):
        return None
    for job in jobs:
        with stack.database.write() as session:
            outbox = text("INSERT INTO outbox (job_id, fence, queue, created_at) VALUES (:j, :f, :q, now())")
            session.execute(outbox, {"j": job.id, "f": job.fence, "q": job.queue})
    return Harm("messages doubled", "all", stack.is_ready)


def delay_messages(stack: Stack, rng: random.Random) -> Harm | None:
    """Waiting messages vanish and come back after the sweep has sent them again."""
    key = f"{stack.settings.queue_prefix}:{stack.settings.queue_name('cpu')}"
    held: list[bytes] = []

    def take(client: Any) -> None:
        held.extend(client.lrange(key, 0, -1))
        client.delete(key)

    if not ask_redis(stack, take):
        return None
    back = rng.uniform(2, 6)

    def give_back() -> None:
        if held and not ask_redis(stack, lambda client: client.rpush(key, *held)):
            later(1.0, give_back)

    later(back, give_back)
    return Harm("messages delayed", f"{len(held)} messages", stack.is_ready)


def restart_postgres(stack: Stack, _rng: random.Random) -> Harm:
    """PostgreSQL crashes (immediate shutdown) and starts again."""
    stack.postgres.restart()
    return Harm("PostgreSQL restarted", "PostgreSQL", stack.is_ready)


def cut_connections(stack: Stack, _rng: random.Random) -> Harm:
    """pg_terminate_backend on every connection but this one."""
    cut = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with stack.database.read() as session:
        count = session.scalar(cut)
    return Harm("PostgreSQL connections cut", f"{count} connections", stack.is_ready)


def fill_disk(stack: Stack, rng: random.Random) -> Harm | None:
    """No file of a trainer may grow past 1 KiB until it is heard of: the kernel refuses its checkpoint midway (EFBIG)."""
    job = running_job(stack, rng, training=True)
    trainers = stack.trainers(job.id) if job else []
    if job is None or not trainers:
        return None
    disk = FullDisk(trainers)
    later(FULL_SECONDS, disk.free)
    kept, seen, has_ended = job.resume_from, job.last_event, ends_of(stack, job)

    def goes_on() -> bool:
        with stack.database.read() as session:
            now = get_job(session, job.id)
        return now.state in ENDED or now.resume_from != kept

    def refused() -> bool:
        """It is said that a checkpoint was; or the attempt ended before it came to one, as the disk is full until then."""
        with stack.database.read() as session:
            said = [event.data for event in events_after(session, job.id, seen, 1_000)]
        is_heard = any("disk is full" in str(data.get("message")) for data in said)
        if not (is_heard or (disk.is_full and has_ended())):
            return False
        disk.free()
        return True

    return Harm("disk full at a checkpoint", job.id, goes_on, refused)


def step_clock(stack: Stack, rng: random.Random) -> Harm:
    """The wall clock of one process and all its descendants jumps."""
    kept = rng.choice((*stack.apis, *stack.workers))
    step = rng.choice(CLOCK_STEPS)
    kept.clock.write_bytes(struct.pack("l", step))
    return Harm("clock stepped", f"{kept.log.stem} by {step} s", stack.is_ready)


Kind = Callable[[Stack, random.Random], Harm | None]
"""Does a fault; None where there is nothing that it could hit."""

KINDS: tuple[Kind, ...] = (
    kill_trainer,
    kill_child,
    kill_worker,
    freeze_worker,
    freeze_supervisor,
    kill_api,
    kill_before_publish,
    kill_after_publish,
    kill_redis,
    flush_redis,
    double_messages,
    delay_messages,
    restart_postgres,
    cut_connections,
    fill_disk,
    step_clock,
)
"""Every kind of fault but the job that is killed each time it trains, which is a job of its own."""


def lost(kind: str, stack: Stack, job: Job) -> Harm:
    """The harm of an attempt whose process is gone."""
    fence = job.fence

    def taken_again() -> bool:
        with stack.database.read() as session:
            now = get_job(session, job.id)
        return now.fence > fence or now.state in ENDED

    return Harm(kind, job.id, taken_again, ends_of(stack, job), is_loss=True)


def ends_of(stack: Stack, job: Job) -> Callable[[], bool]:
    """Whether the attempt that holds the job now has ended in the registry, in whatever way."""
    fence = job.fence

    def has_ended() -> bool:
        with stack.database.read() as session:
            return any(a.fence == fence and a.outcome for a in list_attempts(session, job.id))

    return has_ended


def freeze(kind: str, stack: Stack, job: Job, processes: list[psutil.Process]) -> Harm:
    """Stop processes for longer than a lease, then let them go on."""
    tell(processes, signal.SIGSTOP)
    seconds = stack.settings.lease_seconds + 2 * stack.settings.sweep_seconds + 1
    later(seconds, lambda: tell(processes, signal.SIGCONT))
    return lost(kind, stack, job)


def running_job(stack: Stack, rng: random.Random, *, training: bool = False) -> Job | None:
    """A job with a living trainer, at whatever it is: loading, training, judging; None where there is none.

    `training`: one whose present attempt has reported progress.
    """
    with stack.database.read() as session:
        running = [job for job in list_jobs(session, limit=50, state="running") if job.max_attempts > POISON]
        if training:
            running = [job for job in running if has_begun(session, job)]
    running = [job for job in running if stack.trainers(job.id)]
    return rng.choice(running) if running else None


def holder(stack: Stack, rng: random.Random) -> tuple[Job, Kept] | None:
    """A running job and the worker that holds it."""
    job = running_job(stack, rng)
    for worker in stack.workers if job else ():
        if job is not None and any(process in worker.processes() for process in stack.trainers(job.id)):
            return job, worker
    return None


def has_begun(session: Session, job: Job) -> bool:
    """Whether the job's present attempt has reported progress."""
    newest = events_after(session, job.id, max(0, job.last_event - 5), 5)
    return any(event.attempt == job.attempt and event.kind in {"progress", "checkpoint"} for event in newest)


def any_jobs(stack: Stack, rng: random.Random, count: int) -> list[Job]:
    """Some jobs, in any state."""
    with stack.database.read() as session:
        found = list(list_jobs(session, limit=50))
    return rng.sample(found, min(count, len(found)))


def ask_redis(stack: Stack, work: Callable[[Any], Any]) -> bool:
    """Do something to Redis; False where it does not answer."""
    with redis.Redis.from_url(stack.settings.redis_client_url, socket_timeout=2.0) as client:
        try:
            work(client)
        except redis.RedisError:
            return False
    return True
