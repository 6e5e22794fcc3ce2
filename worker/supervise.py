"""Claim a job and watch over the trainer process that runs it.

The Celery child only supervises: the trainer is a fresh process in a group of its own, so that CUDA is
never touched in a forked process, the out-of-memory killer takes the trainer and not the supervisor, and
GPU memory is surely freed.
"""

import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, Any

import structlog

from app.errors import Unavailable
from app.jobs.lifecycle import Desired, Outcome
from app.logs import bind_ids
from app.registry.attempts import (
    Claim,
    Hold,
    expire_job,
    has_recorded_end,
    holds_job,
    interrupt_job,
    lose_attempt,
    renew_lease,
    stop_job,
    wanted_of,
)
from app.registry.claims import Seat, claim_next
from app.registry.database import Database, Session
from app.registry.events import record_event
from app.registry.jobs import request_of
from app.settings import Settings
from worker import exits

POLL_SECONDS = 0.5
"""Time between two looks at the trainer and at the user's wish."""
EXIT_SECONDS = 20.0
"""How long a trainer that has recorded its job's end may take to leave: it closes the GPU, its files and trackers."""
TAIL_BYTES = 4_000
"""How much of a crashed trainer's last words is read."""
LAST_LINES, MOST_LINE = 20, 500
"""Most of those words that the job's log keeps: lines, and characters of each."""

# One byte shared by the consuming process and its forked child. A signal handler may write it: no lock.
_stopping = mmap.mmap(-1, 1)
log = structlog.get_logger()


def announce_stop() -> None:
    """Tell the supervisor, in whichever forked child it runs, that the worker is shutting down."""
    _stopping[0] = 1


def probe_device() -> dict[str, Any]:
    """Describe this machine's device and versions; asked of a child process, so that none here loads CUDA."""
    command = [sys.executable, "-m", "worker.device"]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=120)  # noqa: S603
    described: dict[str, Any] = json.loads(answer.stdout)
    return described


def supervise_next(seat: Seat, settings: Settings) -> None:
    """Run one attempt at the job that is next for this worker; does nothing where none waits."""
    database = Database(settings.database_url)
    try:
        claim = _claim(database, seat, settings)
        if claim is None:
            log.info("nothing to claim")
            return
        log.info("job claimed", resume_from=claim.resume_from)
        with tempfile.TemporaryFile() as errors:
            trainer = start_trainer(claim.hold, settings, errors)
            watch = Watch(database, claim.hold, settings, trainer, claim.seconds_left)
            watch.until_end()
            settle(database, claim.hold, watch, _tail(errors))
            log.info("attempt ended", exit_code=trainer.returncode, killed=watch.killed)
    finally:
        database.close()


def _claim(database: Database, seat: Seat, settings: Settings) -> Claim | None:
    bind_ids(worker=seat.worker)
    with database.write() as session:
        claim = claim_next(session, seat, settings.lease_seconds)
        if claim is not None:
            job_id = claim.hold.job_id
            bind_ids(job_id=job_id, request_id=request_of(session, job_id))
            bind_ids(attempt=claim.attempt, fence=claim.hold.fence)
    return claim


def start_trainer(hold: Hold, settings: Settings, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the trainer process in a session of its own."""
    command = [sys.executable, "-m", "worker.run", hold.job_id, str(hold.fence), str(os.getpid())]
    # Idle threads that spin steal the cores that the others wait for: on a busy machine, sleeping ones are faster.
    patience = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
    environment = {**os.environ, **patience, **settings.environment()}
    return subprocess.Popen(  # noqa: S603
        command, env=environment, stdin=subprocess.DEVNULL, stderr=errors, start_new_session=True
    )


@dataclass
class Watch:
    """Heartbeats for a trainer, and passes the user's and the worker's wish to stop on to it."""

    database: Database
    hold: Hold
    settings: Settings
    trainer: subprocess.Popen[bytes]
    seconds_left: float | None = None
    """How long it may run; None for no limit."""
    cancelled: bool = False
    expired: bool = False
    lost: bool = False
    killed: bool = False
    _asked_at: float | None = None
    _began_at: float = field(default_factory=time.monotonic)
    _beat_at: float = field(default_factory=time.monotonic)

    @property
    def asked(self) -> bool:
        """Whether the trainer was asked to stop."""
        return self._asked_at is not None

    def until_end(self) -> None:
        """Return once the trainer has ended, by itself or because it had to."""
        while self._still_runs():
            now = time.monotonic()
            self.expired |= self.seconds_left is not None and now - self._began_at >= self.seconds_left
            if _stopping[0] or self.expired:
                self._ask_to_stop()
            self._look_at_job(renew=now - self._beat_at >= self.settings.heartbeat_seconds)
            if self._asked_at is not None and now - self._asked_at > self.settings.cancel_grace_seconds:
                self._kill()

    def _still_runs(self) -> bool:
        try:
            self.trainer.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _look_at_job(self, *, renew: bool) -> None:
        """Read the user's wish, with a heartbeat where one is due; give up a job that is no longer ours."""
        try:
            desired = self._beat() if renew else self._read_wish()
            has_ended = desired is None and self._has_ended()
        except Unavailable as error:
            log.warning("the registry does not answer", job_id=self.hold.job_id, error=error.detail)
            # Past the lease another worker may hold the job: two trainers of one job must not run on.
            self.lost = time.monotonic() - self._beat_at > self.settings.lease_seconds
        else:
            if has_ended:
                self._await_exit()
                return
            self.lost = desired is None
            self.cancelled = desired is Desired.CANCEL
        if self.lost:
            self._kill()
        elif self.cancelled:
            self._ask_to_stop()

    def _beat(self) -> Desired | None:
        sent_at = time.monotonic()
        with self.database.write() as session:
            desired = renew_lease(session, self.hold, self.settings.lease_seconds)
        self._beat_at = sent_at
        return desired

    def _read_wish(self) -> Desired | None:
        with self.database.read() as session:
            return wanted_of(session, self.hold)

    def _has_ended(self) -> bool:
        with self.database.read() as session:
            return has_recorded_end(session, self.hold)

    def _await_exit(self) -> None:
        try:
            self.trainer.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("the trainer did not leave after its end", seconds=EXIT_SECONDS)
            self._kill()

    def _ask_to_stop(self) -> None:
        if not self.asked:
            self._asked_at = time.monotonic()
            self.trainer.terminate()

    def _kill(self) -> None:
        self.killed = True
        os.killpg(self.trainer.pid, signal.SIGKILL)


def settle(database: Database, hold: Hold, watch: Watch, tail: str) -> None:
    """Record an end that the trainer could not record itself; nothing where it did."""
    database.write_patiently(
        lambda session: _settle(session, hold, watch, tail), watch.settings.lease_seconds
    )


def _settle(session: Session, hold: Hold, watch: Watch, tail: str) -> None:
    if not holds_job(session, hold):
        return
    if watch.cancelled:
        stop_job(session, hold, f"cancelled: {describe_stop(watch)}")
    elif watch.expired:
        expire_job(session, hold, describe_stop(watch))
    elif watch.asked:
        interrupt_job(session, hold, f"the worker was asked to stop: {describe_stop(watch)}")
    else:
        for line in last_words(tail):
            record_event(session, hold.job_id, "log", {"message": line})
        reason = describe_crash(watch.trainer.returncode, tail)
        log.error("the trainer died", reason=reason)
        lose_attempt(session, hold, Outcome.CRASHED, reason)


def describe_stop(watch: Watch) -> str:
    """What became of a trainer that was asked to stop."""
    if watch.trainer.returncode == exits.STOPPED:
        return "checkpointed and stopped"
    return "killed after the grace time" if watch.killed else "stopped before it could write a checkpoint"


def describe_crash(code: int, tail: str) -> str:
    """Why a trainer died, in words: its signal or exit code and the last line it wrote."""
    if code == -signal.SIGKILL:
        cause = "the trainer was killed (signal 9), as the system does when memory runs out"
    elif code < 0:
        cause = f"the trainer was killed by {signal.Signals(-code).name}"
    else:
        cause = f"the trainer ended with exit code {code}"
    lines = tail.strip().splitlines()
    return f"{cause}: {lines[-1][:500]}" if lines else cause


def last_words(tail: str) -> list[str]:
    """What a dead trainer wrote last, as lines of the job's log."""
    return [f"stderr: {line[:MOST_LINE]}" for line in tail.strip().splitlines()[-LAST_LINES:]]


def _tail(errors: IO[bytes]) -> str:
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - TAIL_BYTES))
    return errors.read().decode(errors="replace")
