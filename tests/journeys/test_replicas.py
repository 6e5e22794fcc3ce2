"""Several API processes and workers on one PostgreSQL: keys share, streams go on elsewhere, workers leave; nothing is lost."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.client import Client, Event
from app.registry.attempts import list_attempts
from app.registry.tables import Job
from app.storage import open_storage
from benchmarks.chaos_audit import Accepted, audit
from benchmarks.chaos_run import BARS, JOB
from benchmarks.chaos_stack import Kept, Stack, chaotic_stack

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(600)]

NEVER = 1e9
LONG = {**JOB, "total_timesteps": 100_000_000, "seed": 9}
SHORT = {**JOB, "total_timesteps": 1_024, "seed": 1}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with chaotic_stack() as stack:
        until(stack.is_ready, 180)
        with Client(stack.urls[0]) as client:
            declared = {"calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
            client.upload_dataset(BARS, name="googl", declarations=declared)
        yield stack


@pytest.fixture
def clients(stack: Stack) -> Iterator[list[Client]]:
    clients = [Client(url, patience_seconds=60) for url in stack.urls]
    yield clients
    for client in clients:
        client.close()


def until(what: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.1)
    return found


def has_progress(client: Client, job_id: str) -> Callable[[], Any]:
    return lambda: client.job(job_id)["progress"]


def in_state(client: Client, job_id: str, state: str) -> Callable[[], Any]:
    return lambda: (job := client.job(job_id))["state"] == state and job


def ended(kept: Kept) -> int | None:
    return kept.popen.poll() if kept.popen else None


def as_key(stack: Stack, job_id: str, key: str) -> None:
    with stack.database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(key_id=key))


def test_two_keys_share_two_workers_behind_two_apis(stack: Stack, clients: list[Client]) -> None:
    """Ada queues six jobs, then bob two, while both workers are busy: bob does not wait for ada's six."""
    fillers = [clients[n].submit_job({**LONG, "name": "filler"})["id"] for n in range(2)]
    for job_id in fillers:
        until(has_progress(clients[0], job_id))
    ada = [clients[n % 2].submit_job(SHORT)["id"] for n in range(6)]
    bob = [clients[n % 2].submit_job(SHORT)["id"] for n in range(2)]
    for key, jobs in (("ada", ada), ("bob", bob)):
        for job_id in jobs:
            as_key(stack, job_id, key)
    why = clients[1].job(ada[5])["waiting"]
    assert why.startswith("tier cpu: 2 workers, both busy; 7 jobs before it; fair share: keys take turns")
    # The same request to both replicas at once is one job.
    with ThreadPoolExecutor(8) as pool:
        asked = [(client, {**SHORT, "priority": 1}) for client in clients * 4]
        twins = {job["id"] for job in pool.map(lambda a: a[0].submit_job(a[1], idempotency_key="one"), asked)}
    (first,) = twins
    for job_id in fillers:
        clients[0].cancel(job_id)
    jobs = [*ada, *bob, first]
    for job_id in jobs:
        until(in_state(clients[1], job_id, "succeeded"), 240)
    until(in_state(clients[0], fillers[0], "cancelled"))
    until(in_state(clients[0], fillers[1], "cancelled"))
    with stack.database.read() as session:
        claimed = {
            job_id: [attempt.claimed_at for attempt in list_attempts(session, job_id)] for job_id in jobs
        }
    assert all(len(times) == 1 for times in claimed.values())
    order = sorted(jobs, key=lambda job_id: claimed[job_id])
    assert order[0] == first  # the higher priority, queued last
    assert order.index(bob[0]) <= 2
    assert order.index(bob[1]) < order.index(ada[3]), [("ada" if each in ada else "bob") for each in order]
    assert [each for each in order if each in ada] == ada
    accepted = Accepted(jobs, [], {1: jobs[0]})
    broken = {
        verdict.invariant: verdict.broken
        for verdict in audit(stack.database, open_storage(stack.settings), accepted)
        if verdict.broken
    }
    # Of all that the auditor holds a registry against, only that there are two jobs which it was not told of.
    assert broken == {"every accepted job has exactly one result": [f"{len(jobs) + 2} jobs in the registry"]}


def test_a_follower_of_an_api_that_stops_goes_on_at_another_and_misses_nothing(
    stack: Stack, clients: list[Client]
) -> None:
    job = clients[0].submit_job(LONG)
    until(has_progress(clients[0], job["id"]))
    seen: list[Event] = []
    broke = threading.Event()

    def follow() -> None:
        """As a load balancer's client: the address stays, the process behind it changes."""
        after = 0
        for url in stack.urls:
            headers = {"Last-Event-ID": str(after)}
            with httpx.stream("GET", f"{url}/jobs/{job['id']}/events", headers=headers, timeout=60) as answer:
                for line in answer.iter_lines():
                    if line.startswith("id: "):
                        after = int(line[4:])
                        seen.append(Event(after, "", {}))
            broke.set()

    thread = threading.Thread(target=follow)
    thread.start()
    until(lambda: len(seen) > 3)
    api = stack.apis[0]
    api.restart_after = NEVER
    assert api.popen is not None
    api.popen.send_signal(signal.SIGTERM)
    assert broke.wait(10)
    until(lambda: ended(api) is not None, 20)
    assert ended(api) in (0, -signal.SIGTERM)
    assert "Cancel" not in api.log.read_text()  # no stream was cut off: each was ended
    clients[1].cancel(job["id"])
    thread.join(60)
    assert not thread.is_alive()
    ended_job = clients[1].job(job["id"])
    assert ended_job["state"] == "cancelled"
    assert [event.id for event in seen] == list(range(1, ended_job["last_event"] + 1))


def test_a_worker_that_is_drained_hands_its_job_over_or_finishes_it_and_leaves(
    stack: Stack, clients: list[Client]
) -> None:
    for kept in stack.workers:
        kept.restart_after = NEVER
    job = clients[0].submit_job(LONG)
    until(has_progress(clients[0], job["id"]))
    holder = clients[1].job(job["id"])["attempts"][0]["worker"]
    leaving = next(kept for kept in stack.workers if kept.log.stem == holder.partition("@")[0])
    assert clients[1].drain_worker(holder, now=True)["state"] == "draining"
    until(lambda: len(clients[0].job(job["id"])["attempts"]) == 2)
    first, second = clients[0].job(job["id"])["attempts"]
    assert (first["outcome"], clients[0].job(job["id"])["failures"]) == ("interrupted", 0)
    assert second["worker"] != holder
    assert second["resumed_from"] is not None
    until(lambda: ended(leaving) is not None, 60)
    assert ended(leaving) == 0
    until(lambda: [row["id"] for row in clients[0].workers()] == [second["worker"]])
    other = clients[0].submit_job(SHORT)
    drained = clients[0].drain_worker(second["worker"])
    assert (drained["state"], drained["job"]["job_id"]) == ("draining", job["id"])
    time.sleep(2 * stack.settings.heartbeat_seconds)
    assert clients[0].job(job["id"])["state"] == "running"  # it finishes what it has, and takes nothing else
    why = clients[0].job(other["id"])["waiting"]
    assert why == "the last worker of tier cpu is leaving and takes no more jobs"
    clients[0].cancel(job["id"])
    until(in_state(clients[0], job["id"], "cancelled"))
    until(lambda: clients[0].workers() == [], 60)
    assert clients[0].job(other["id"])["state"] == "queued"
    assert clients[0].job(other["id"])["waiting"].startswith("no worker of tier cpu is alive since ")
