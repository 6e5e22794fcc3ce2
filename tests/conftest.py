"""What every room's tests may use: databases that are real, and rows to put in them."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from s3_server import S3Server
from sqlalchemy import create_engine, make_url, text

from app.local.services import answers_ping, redis_service
from app.registry.database import Database, migrate, new_id
from app.settings import ENV_PREFIX, Settings
from app.storage import FolderStorage

# No deadline: how long one example takes says more of the machine's other work than of the code. What is to land is
# tried on the same examples each time (.ci/run sets CI): chance finds defects at every other run of the suite.
hypothesis.settings.register_profile(
    "caliper", deadline=None, print_blob=True, derandomize="CI" in os.environ
)
hypothesis.settings.load_profile("caliper")


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A real PostgreSQL from the bundled wheel; one server a test process."""
    with tempfile.TemporaryDirectory(prefix="caliper-pg-") as folder:
        Path(folder).chmod(0o755)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which a machine without a session lacks
            import pgserver

        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            # What is written need not outlive the machine: each DROP DATABASE would wait for the disk.
            off = [f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "full_page_writes")]
            ask_postgresql(url, *off, "SELECT pg_reload_conf()")
            yield url
        finally:
            server.cleanup()


@pytest.fixture
def fresh_postgresql(postgresql_url: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    yield from postgresql_database(postgresql_url, "template1")


@pytest.fixture
def fresh_sqlite(tmp_path: Path) -> str:
    """The URL of an empty SQLite database."""
    return f"sqlite:///{tmp_path}/registry.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind in turn."""
    return str(request.getfixturevalue(f"fresh_{request.param}"))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied: the migrations themselves are tested in tests/registry."""
    path: Path = tmp_path_factory.mktemp("template") / "registry.db"
    migrate(f"sqlite:///{path}")
    assert [file.name for file in path.parent.iterdir()] == [path.name], "a part is still in the log"
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgresql_url: str) -> str:
    """The name of a migrated PostgreSQL database, to be copied."""
    name = new_id("t")
    ask_postgresql(postgresql_url, f"CREATE DATABASE {name}")
    migrate(postgresql_url.replace("/postgres?", f"/{name}?"))
    return name


@pytest.fixture
def migrated_sqlite(tmp_path: Path, sqlite_template: Path) -> str:
    """The URL of a migrated SQLite database."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'registry.db')}"


@pytest.fixture
def migrated_postgresql(postgresql_url: str, postgresql_template: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database."""
    yield from postgresql_database(postgresql_url, postgresql_template)


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of each kind in turn."""
    return str(request.getfixturevalue(f"migrated_{request.param}"))


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A registry on each kind of database in turn."""
    database = Database(migrated_url)
    yield database
    database.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a service of the test's own: SQLite and artifacts in its folder, quick timers."""
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    return Settings(
        data_dir=tmp_path / "data",
        lease_seconds=4,
        heartbeat_seconds=1,
        sweep_seconds=0.3,
        relay_seconds=0.1,
        cancel_grace_seconds=20,
    )


@pytest.fixture
def registry(settings: Settings, sqlite_template: Path) -> Iterator[Database]:
    """The migrated registry of `settings`."""
    path = Path(str(make_url(settings.database_url).database))
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(sqlite_template, path)
    database = Database(settings.database_url)
    yield database
    database.close()


@pytest.fixture
def storage(settings: Settings) -> FolderStorage:
    """The storage of `settings`."""
    return FolderStorage(settings.artifacts_dir)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3-compatible server; each test has a bucket of its own."""
    server = S3Server()
    yield server
    server.stop()


class RedisServer:
    """A real Redis on a Unix socket, which a test may kill, empty and start again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self.settings.redis_socket is not None
        for folder in (self.settings.data_dir / "redis", self.settings.redis_socket.parent):
            folder.mkdir(parents=True, exist_ok=True)
        command = redis_service(self.settings).command
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not answers_ping(self.settings):
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def redis_server(settings: Settings) -> Iterator[RedisServer]:
    """A running Redis for `settings`."""
    server = RedisServer(settings)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgresql_database(server_url: str, template: str) -> Iterator[str]:
    """The URL of a database that is a copy of a template, while the test runs."""
    name = new_id("t")
    ask_postgresql(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server_url.replace("/postgres?", f"/{name}?")
    ask_postgresql(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def ask_postgresql(server_url: str, *statements: str) -> None:
    """Run statements that no transaction may hold, on a server."""
    admin = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    admin.dispose()
