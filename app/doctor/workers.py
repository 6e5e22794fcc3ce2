"""Workers: who is alive, who fell silent, whether they are of this release and keep the same time."""

import time
from collections.abc import Sequence
from datetime import timedelta

from app.doctor.database import open_registry
from app.doctor.finding import Finding, Findings, Patient, ok, warning
from app.errors import Unavailable
from app.jobs.protocol import MESSAGE_VERSION
from app.network.disk.contents import WRITER_VERSIONS
from app.registry.consumption import Consumer, list_consumers
from app.registry.examination import clocks_of_workers
from app.registry.tables import Worker
from app.registry.workers import known_workers, live_workers

SILENT_SHOWN = 5
"""Silent workers that are named."""

LONG_SECONDS = 600.0
"""An idle worker that took no message for so long, while others of its queue did, is looked at."""


def check_workers(patient: Patient) -> Findings:
    """All that the registry knows of them."""
    database, lease = open_registry(patient), patient.settings.lease_seconds
    if database is None:
        return
    try:
        with database.read() as session:
            alive, known = live_workers(session, lease), known_workers(session)
            consumers, clocks = list_consumers(session, lease), clocks_of_workers(session)
    except Unavailable:
        return  # told by the look at the database
    finally:
        database.close()
    if not alive:
        yield warning("workers", "none is alive: jobs wait", "`caliper serve`, or docs/how-to/gpu-worker.md")
    for worker in alive:
        yield _judge(patient, worker, clocks.get(worker.id))
    yield from _missed(consumers)
    yield from _silent(known, {worker.id for worker in alive})


def _judge(patient: Patient, worker: Worker, apart: float | None) -> Finding:
    release = str(worker.versions.get("caliper", "?"))
    said = f"{worker.id} serves {worker.tier} with {worker.device.get('name', '?')}, release {release}"
    about = "worker"
    if worker.protocol < MESSAGE_VERSION or release != WRITER_VERSIONS["caliper"]:
        advice = "let it finish its job and restart it with this release"
        return warning(about, f"{said}; this is {WRITER_VERSIONS['caliper']}", advice)
    if apart is not None and abs(apart) > patient.thresholds.clock_seconds:
        advice = "let both follow the same time server (NTP)"
        return warning(about, f"{said}; its clock differs from the database's by {apart:+.1f} s", advice)
    return ok(about, said)


def _missed(consumers: Sequence[Consumer]) -> Findings:
    """Idle workers that take nothing while others of their queue do."""
    for each in consumers:
        others = [other.age for other in consumers if other.queue == each.queue and other is not each]
        is_late = each.age is None or each.age > LONG_SECONDS
        is_free = each.answers_probes and not each.is_busy
        if is_free and is_late and any(age is not None and age < LONG_SECONDS / 10 for age in others):
            said = f"{each.worker} is idle and takes nothing from {each.queue}, while others do"
            yield warning("worker", said, "see its log; has it the same CALIPER_REDIS_URL? Then restart it")


def _silent(known: Sequence[Worker], alive: set[str]) -> Findings:
    """Workers that were killed, or lost their network: they did not say that they leave."""
    gone = [worker for worker in known if worker.id not in alive and worker.left_at is None]
    for worker in sorted(gone, key=lambda worker: -worker.seen_at)[:SILENT_SHOWN]:
        silent = timedelta(seconds=round(time.time() - worker.seen_at))
        said = f"{worker.id} ({worker.tier}) fell silent {silent} ago without saying that it leaves"
        yield warning("worker", said, "see whether its machine runs, and the end of its log")
