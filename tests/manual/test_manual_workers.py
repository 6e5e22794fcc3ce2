"""docs/how-to/postgresql.md and gpu-worker.md: their commands are run, on a real PostgreSQL and a real Redis over TCP.

What this machine lacks is exchanged, and nothing else: the hosts' names, the passwords, TLS, the mounted folder, and the
installation. A card is not needed: the worker looks for one and finds a processor.
"""

import contextlib
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from job_rows import SPEC, upload_googl
from running_service import Service, eventually, running

from app.client import Client
from app.client.answers import JobDetail
from app.local.services import find_redis_server
from app.settings import Settings
from tests.manual.code_blocks import DOCS, read_blocks

ROOT = DOCS.parent
BIN = Path(sys.executable).parent
PASSWORD = "it's a pass@word/%"
"""As the pages promise, it is quoted into the URLs."""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(300)]


@contextlib.contextmanager
def forwarded(path: str) -> Iterator[int]:
    """A TCP port on loopback behind which a Unix socket listens."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    client, _ = listener.accept()
                    threading.Thread(target=_join, args=(client, path), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def _join(client: socket.socket, path: str) -> None:
    """Hand on what each side says until one of them closes."""
    with client, socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
        client.settimeout(None)
        server.connect(path)
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        with contextlib.suppress(OSError):
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not data:
                        return
                    key.data.sendall(data)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[tuple[Path, int]]:
    """A PostgreSQL that asks the role `caliper` for its password: the folder of its socket, and its TCP port."""
    with tempfile.TemporaryDirectory(prefix="caliper-pg-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pgserver

        Path(folder).chmod(0o755)
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        rules = Path(folder) / "data" / "pg_hba.conf"
        rules.write_text(f"local all caliper scram-sha-256\n{rules.read_text()}")
        server.psql("SELECT pg_reload_conf();")
        (path,) = re.findall(r"host=([^&]+)", server.get_uri())
        with forwarded(f"{path}/.s.PGSQL.5432") as port:
            yield Path(path), port
        server.cleanup()


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Redis on TCP with the options that the page asks for."""
    page = (DOCS / "how-to/postgresql.md").read_text()
    (options,) = re.findall(r"Use `(--maxmemory-policy noeviction)` and an append-only file", page)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    folder = str(tmp_path_factory.mktemp("redis"))
    command = [str(find_redis_server()), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
    command += ["--requirepass", PASSWORD, "--appendonly", "yes", *options.split()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        eventually(lambda: _listens(port), 20)
        yield port
        process.terminate()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Host:
    """A shell in a folder, with what this machine lacks exchanged in every command."""

    def __init__(self, folder: Path, exchanged: dict[str, str], **environment: str) -> None:
        self.folder = folder
        self.exchanged = exchanged
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CALIPER_")}
        path = f"{BIN}{os.pathsep}{_postgresql_programs()}{os.pathsep}{kept['PATH']}"
        self.environment = {**kept, "PATH": path, **environment}

    def of_this_machine(self, code: str) -> str:
        for page, here in self.exchanged.items():
            code = code.replace(page, here)
        return code

    def run(self, code: str, answers: str = "") -> dict[str, str]:
        """Run a block in a terminal-less session; the variables that it leaves exported."""
        script = f"set -e\n{self.of_this_machine(code)}\nprintf '\\0'; env -0"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            input=answers,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            start_new_session=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = done.stdout.partition("\0")[2]
        self.environment = dict(line.split("=", 1) for line in told.split("\0") if "=" in line)
        return {name: value for name, value in self.environment.items() if name.startswith("CALIPER_")}


def _postgresql_programs() -> Path:
    import pgserver

    return Path(pgserver.__file__).parent / "pginstall" / "bin"


@pytest.fixture
def host(tmp_path: Path, postgresql: tuple[Path, int], redis_port: int) -> Host:
    """A host of the installation that the pages describe."""
    for name in ("examples", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    quoted = "'" + PASSWORD.replace("'", "'\\''") + "'"
    exchanged = {
        "db.internal:5432": f"127.0.0.1:{postgresql[1]}",
        "rediss://queue.internal:6379": f"redis://127.0.0.1:{redis_port}",
        "PASSWORD=…": f"PASSWORD={quoted}",
        "/mnt/caliper": str(tmp_path / "shared"),
    }
    return Host(tmp_path, exchanged, PGHOST=str(postgresql[0]), PGUSER="postgres", PYTHONPATH=str(ROOT))


def test_a_worker_on_another_host_trains_over_postgresql_and_redis(host: Host) -> None:
    registry, queue = [block.code for block in read_blocks("how-to/postgresql.md", "sh")][:2]
    host.run(registry, answers=f"{PASSWORD}\n{PASSWORD}\n")
    of_api = host.run(queue)
    install, where, start = [block.code for block in read_blocks("how-to/gpu-worker.md", "sh")][:3]
    assert "venv" in install  # done already, as the tutorial's test has it
    of_worker = host.run(where)
    assert {name: of_worker[name] for name in of_api} == of_api  # both pages name the same parts
    settings = _settings(of_worker)
    assert settings.database_url.startswith("postgresql+psycopg://caliper:it%27s%20a%20pass%40word%2F%25@")
    with running(settings) as service, _worker(host, start) as worker, Client(service.url) as client:
        (found,) = eventually(client.workers, 90)
        assert (found["tier"], found["id"].partition("@")[0]) == ("cpu", "caliper-0")
        job = _train(service, client)
        assert job["state"] == "succeeded", job["error"]
        assert job["attempts"][0]["worker"] == found["id"]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert client.workers() == []


def _settings(variables: dict[str, str]) -> Settings:
    """The API's settings from what the pages export."""
    plain = {name.removeprefix("CALIPER_").lower(): value for name, value in variables.items()}
    return Settings(**plain)  # type: ignore[arg-type]


@contextlib.contextmanager
def _worker(host: Host, start: str) -> Iterator[subprocess.Popen[Any]]:
    """The page's command in a session of its own, killed with all that it started if it is still there."""
    command = f"exec env {host.of_this_machine(start).strip()}"
    with subprocess.Popen(
        ["bash", "-c", command],
        cwd=host.folder,
        env=host.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _train(service: Service, client: Client) -> JobDetail:
    """A short job, submitted and waited for."""
    upload_googl(service)
    job_id = client.submit_job(SPEC)["id"]
    return eventually(lambda: _ended(client.job(job_id)), 120)


def _ended(job: JobDetail) -> JobDetail | None:
    return job if job["state"] in ("succeeded", "failed", "cancelled") else None
