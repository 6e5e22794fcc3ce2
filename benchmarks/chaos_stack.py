"""The service as real processes that can be hurt: two APIs, two workers, Redis and PostgreSQL on one machine.

Everything listens on loopback or on a Unix socket. A keeper starts again what has died, as an operating
system's service manager does.
"""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from redis import Redis
from redis.exceptions import RedisError

from app.local.processes import end, family
from app.local.services import Service, answers_http, api_service, redis_service, worker_service
from app.registry.database import Database, migrate
from app.settings import Settings
from benchmarks.chaos_clock import build_clock

QUICK: dict[str, Any] = {
    "lease_seconds": 6,
    "heartbeat_seconds": 1.5,
    "sweep_seconds": 1,
    "relay_seconds": 0.3,
    "orphan_seconds": 12,
    "checkpoint_every_seconds": 1,
    "checkpoint_every_updates": 10_000,
}
"""Settings of the run: what takes a minute by default takes seconds."""

KEEP_SECONDS = 0.2
"""Time between two looks at what has died."""


@dataclass
class Kept:
    """One long-running process, which is started again when it dies."""

    service: Service
    log: Path
    clock: Path
    environment: dict[str, str]
    restart_after: float = 0.0
    died_at: float | None = None
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a session of its own."""
        self.clock.touch()
        self.died_at = None
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.service.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.service.environment, **self.environment},
                start_new_session=True,
            )

    def keep(self) -> None:
        """Start it again where it has died, after its pause."""
        if self.popen is None or self.popen.poll() is None:
            return
        self.died_at = self.died_at or time.monotonic()
        if time.monotonic() - self.died_at >= self.restart_after:
            self.start()

    def processes(self) -> list[psutil.Process]:
        """The process and its descendants, itself first; empty while it is dead."""
        try:
            top = psutil.Process(self.popen.pid) if self.popen else None
            return [top, *top.children(recursive=True)] if top else []
        except psutil.Error:
            return []

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole family at once, the top first."""
        for process in self.processes():
            try:
                process.send_signal(number)
            except psutil.Error:
                continue

    def end(self) -> None:
        """End the family."""
        if self.popen is not None:
            self.send(signal.SIGCONT)
            end(family(self.popen.pid), grace=5.0)
            self.popen.wait()


class Postgres:
    """PostgreSQL from its wheel, on a Unix socket; can be crashed and its connections cut."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which a machine without a session lacks
            import pgserver  # noqa: PLC0415 - only to be loaded without its warnings
            from pgserver import _commands  # noqa: PLC0415 - its way to pg_ctl
        folder.mkdir(mode=0o755)
        self._pg_ctl: Any = _commands.pg_ctl
        self.server: Any = pgserver.get_server(folder / "data", cleanup_mode="delete")
        self.url: str = self.server.get_uri().replace("postgresql://", "postgresql+psycopg://")

    def restart(self) -> None:
        """Crash it and start it again: every connection breaks, what was committed stays."""
        arguments = ["-w", "-t", "60", "-m", "immediate", "-l", str(self.server.log), "restart"]
        self._pg_ctl(arguments, pgdata=self.server.pgdata, user=self.server.system_user)

    def end(self) -> None:
        """Stop it and delete its data."""
        self.server.cleanup()


@dataclass
class Stack:
    """The running service; used as a context."""

    settings: Settings
    postgres: Postgres
    apis: list[Kept] = field(default_factory=list)
    workers: list[Kept] = field(default_factory=list)
    redis: Kept = field(init=False)
    urls: list[str] = field(default_factory=list)
    submit: Callable[[], str] = field(init=False)
    """Submits a job that is to succeed, and gives its id; set by whoever runs it."""
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        migrate(self.settings.database_url)
        self.database = Database(self.settings.database_url)
        assert self.settings.redis_socket is not None
        for folder in (self.settings.data_dir / "redis", self.settings.redis_socket.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.redis = self._kept(redis_service(self.settings), restart_after=1.0)
        for number in range(2):
            own = self.settings.model_copy(update={"port": free_port(), "worker_name": f"worker{number}"})
            self.urls.append(f"http://127.0.0.1:{own.port}")
            self.apis.append(self._kept(api_service(own), name=f"api{number}"))
            self.workers.append(self._kept(worker_service(own), name=f"worker{number}"))
        for kept in self.all:
            kept.start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._keeper.join()
        for kept in reversed(self.all):
            kept.end()
        self.database.close()

    @property
    def all(self) -> Sequence[Kept]:
        """Every process that is kept."""
        return (self.redis, *self.apis, *self.workers)

    def is_ready(self) -> bool:
        """Whether every API says that a worker consumes, and that database and Redis answer."""
        ports = [int(url.rpartition(":")[2]) for url in self.urls]
        return all(answers_http(self.settings.model_copy(update={"port": port}), "/readyz") for port in ports)

    def trainers(self, job_id: str) -> list[psutil.Process]:
        """Trainer processes of a job, alive."""
        found = [process for kept in self.workers for process in kept.processes()]
        return [process for process in found if is_trainer(process, job_id)]

    def supervisors(self, job_id: str) -> list[psutil.Process]:
        """The Celery children that watch over them; a trainer whose own has died has none."""
        trainers = {process.pid for process in self.trainers(job_id)}
        children = [process for kept in self.workers for process in kept.processes()[1:]]
        return [each for each in children if trainers & set(_children_of(each))]

    def holds_message(self, job_id: str) -> bool:
        """Whether Redis holds a wake-up that names the job, waiting or in a worker's hands; False where it is silent."""
        prefix = f"{self.settings.queue_prefix}:"
        with Redis.from_url(self.settings.redis_client_url, socket_timeout=2.0) as client:
            try:
                waiting = client.lrange(prefix + self.settings.queue_name("cpu"), 0, -1)
                return any(job_id.encode() in raw for raw in (*waiting, *client.hvals(f"{prefix}unacked")))
            except RedisError:
                return False

    def _kept(self, service: Service, name: str | None = None, restart_after: float = 0.0) -> Kept:
        name = name or service.name
        clock = self.settings.data_dir / f"clock-{name}"
        clock.write_bytes(bytes(8))
        library = self.settings.data_dir / "clock.so"
        preload = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(clock)} if library.exists() else {}
        environment = {"OMP_NUM_THREADS": "1", **(preload if name != "redis" else {})}
        log = self.settings.logs_dir / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        return Kept(service, log, clock, environment, restart_after)

    def _keep(self) -> None:
        while not self._ended.wait(KEEP_SECONDS):
            for kept in self.all:
                kept.keep()


def _children_of(process: psutil.Process) -> list[int]:
    try:
        return [child.pid for child in process.children()]
    except psutil.Error:
        return []


def is_trainer(process: psutil.Process, job_id: str) -> bool:
    """Whether this process trains the job."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "worker.run" in words and job_id in words


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def chaotic_stack(**values: Any) -> Iterator[Stack]:
    """A stack with short lease times in a folder of its own, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="caliper-chaos-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "data").mkdir()
        build_clock(root / "data")
        postgres = Postgres(root / "pg")
        try:
            with Stack(chaotic_settings(root / "data", postgres.url, **values), postgres) as stack:
                yield stack
        finally:
            postgres.end()


def chaotic_settings(data_dir: Path, database_url: str, **values: Any) -> Settings:
    """The settings of the run."""
    return Settings(data_dir=data_dir, database_url=database_url, default_tier="cpu", **{**QUICK, **values})
