"""`caliper doctor`: each thing that can be wrong is made wrong for real, and told in words with what to do."""

import json
import os
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import RedisServer, ask_postgresql
from factories import make_dataset, make_job
from redis import Redis
from running_service import Service, eventually, running
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from app.api.health import UNPROVEN
from app.cli import app
from app.doctor import Finding, Verdict, examine
from app.doctor.api import find_listener
from app.doctor.examine import CHECKS
from app.doctor.finding import Patient, Thresholds, ok
from app.doctor.folders import kind_of_file_system
from app.doctor.machine import judge_device
from app.local.lock import StackLock
from app.registry.attempts import claim_job
from app.registry.consumption import note_taken
from app.registry.database import Database, migrate
from app.registry.jobs import add_job
from app.registry.tables import Attempt, Consumption, Worker, utc_now
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings
from app.storage import FolderStorage

SECRET = "a-secret-password"
EXAMINE = sys.modules["app.doctor.examine"]  # the package names its function so too
ANOTHER_USER = 10_001


@pytest.fixture
def settings(settings: Settings, free_port: int) -> Settings:
    """The service of a test, with a lease that outlasts it."""
    settings.data_dir.mkdir(mode=0o700)
    return settings.model_copy(update={"port": free_port, "lease_seconds": 600})


def look(settings: Settings, *names: str, **at: Any) -> dict[tuple[str, str], str]:
    """(verdict, about) -> what was said, of these checks; the last where there are several."""
    thresholds = Thresholds(**at) if at else None
    found = list(examine(settings, names=names, thresholds=thresholds))
    assert all(finding.advice for finding in found if finding.verdict is not Verdict.OK)
    return {(str(finding.verdict), finding.about): finding.said for finding in found}


def only_ok(settings: Settings, *names: str) -> bool:
    return {verdict for verdict, _ in look(settings, *names)} == {"ok"}


@pytest.fixture
def service(settings: Settings, registry: Database, redis_server: RedisServer) -> Iterator[Service]:
    with running(settings) as started:
        yield started


@pytest.fixture
def here(service: Service) -> Settings:
    """The settings under which the running service is found."""
    return service.settings.model_copy(update={"port": int(service.url.rpartition(":")[2])})


# Settings, machine, device


def test_settings_that_cannot_be_read_are_told_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIPER_PORT", "nonsense")
    monkeypatch.setenv("CALIPER_REDIS_URL", f"http://:{SECRET}@x")
    found = list(examine())
    assert {finding.verdict for finding in found} == {Verdict.PROBLEM}
    said = " ".join(finding.said for finding in found)
    assert "CALIPER_PORT" in said
    assert "CALIPER_REDIS_URL" in said
    assert SECRET not in said


def test_this_machine_is_well(settings: Settings) -> None:
    found = look(settings, "machine")
    assert ("ok", "python") in found
    assert "worker" in found["ok", "package"]


def test_few_open_files_are_told(settings: Settings) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = look(settings, "machine", least_open_files=hard + 1)
    assert f"{hard:,}" in found["warning", "open files"]


@pytest.mark.parametrize(
    ("kind", "has_card", "tier", "verdict"),
    [
        ("cpu", False, "", "ok"),
        ("cpu", True, "", "problem"),
        ("cuda", True, "", "ok"),
        ("cpu", False, "high", "warning"),
    ],
)
def test_a_card_that_pytorch_does_not_see_and_a_tier_that_is_not_this_devices(
    settings: Settings, kind: str, has_card: bool, tier: str, verdict: str
) -> None:
    device = {"type": kind, "name": "X", "total_bytes": 1, "reason": "because"}
    patient = Patient(settings.model_copy(update={"default_tier": tier}))
    (finding,) = judge_device(patient, {"tier": "cpu", "device": device}, has_card=has_card)
    assert str(finding.verdict) == verdict


@pytest.mark.slow
def test_the_device_is_asked_of_a_process_of_its_own(settings: Settings) -> None:
    assert "tier cpu" in look(settings, "device")["ok", "device"]


# The data folder


def test_a_folder_that_is_not_there_and_one_that_is_a_file(settings: Settings, tmp_path: Path) -> None:
    missing = settings.model_copy(update={"data_dir": tmp_path / "none"})
    assert "not there" in look(missing, "data folder")["warning", "data folder"]
    assert not missing.data_dir.exists(), "a look makes nothing"
    (tmp_path / "file").write_text("x")
    strange = settings.model_copy(update={"data_dir": tmp_path / "file"})
    assert "no folder" in look(strange, "data folder")["problem", "data folder"]


def test_a_private_folder_is_well_and_one_that_others_read_is_not(settings: Settings) -> None:
    found = look(settings, "data folder", least_free_bytes=1, scarce_free_bytes=1)
    assert ("ok", "data folder") in found
    assert ("ok", "rights") in found
    settings.data_dir.chmod(0o755)
    assert "755" in look(settings, "data folder")["warning", "rights"]


def test_a_folder_that_this_user_may_not_write(settings: Settings) -> None:
    settings.data_dir.chmod(0o555)
    code = (
        "import os, sys\n"
        "from app.doctor import examine; from app.settings import Settings\n"
        "os.setuid(int(sys.argv[2])) if os.getuid() == 0 else None\n"
        "for f in examine(Settings(data_dir=sys.argv[1]), names=['data folder']): print(f.verdict, f.about, f.said)"
    )
    for folder in (settings.data_dir, *settings.data_dir.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055) if folder != Path("/tmp") else None
    command = [sys.executable, "-c", code, str(settings.data_dir), str(ANOTHER_USER)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert "problem data folder" in said.stdout
    assert "Permission denied" in said.stdout


def test_a_disk_that_takes_no_more(settings: Settings) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from app.doctor import examine; from app.settings import Settings\n"
        "for f in examine(Settings(data_dir=sys.argv[1]), names=['data folder']): print(f.verdict, f.about, f.said)"
    )
    command = [sys.executable, "-c", code, str(settings.data_dir)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert "problem data folder" in said.stdout
    assert "File too large" in said.stdout
    assert list(settings.data_dir.iterdir()) == []


def test_little_room_is_a_warning_and_no_room_a_problem(settings: Settings) -> None:
    free = shutil.disk_usage(settings.data_dir).free
    assert ("warning", "disk") in look(
        settings, "data folder", least_free_bytes=1, scarce_free_bytes=free * 2
    )
    assert ("problem", "disk") in look(settings, "data folder", least_free_bytes=free * 2)


def test_file_systems_are_known_by_the_nearest_mount() -> None:
    mounts = [
        "/dev/a / ext4 rw 0 0",
        "server:/x /srv nfs4 rw 0 0",
        "tmpfs /srv/with\\040space tmpfs rw 0 0",
    ]
    kinds = {
        path: kind_of_file_system(Path(path), mounts) for path in ("/home/x", "/srv/a/b", "/srv/with space/x")
    }
    assert kinds == {"/home/x": "ext4", "/srv/a/b": "nfs4", "/srv/with space/x": "tmpfs"}


def test_a_file_system_over_a_network_is_no_place_for_sqlite(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text("server:/x / nfs4 rw 0 0\n")
    monkeypatch.setattr("app.doctor.folders.MOUNTS", tmp_path / "mounts")
    assert "nfs4" in look(settings, "data folder")["problem", "file system"]
    elsewhere = {"database_url": "postgresql+psycopg://db/x", "redis_url": "redis://r/0"}
    assert "nfs4" in look(settings.model_copy(update=elsewhere), "data folder")["ok", "file system"]


# The registry


def test_a_migrated_registry_is_well(settings: Settings, registry: Database) -> None:
    found = look(settings, "database")
    assert {verdict for verdict, _ in found} == {"ok"}
    assert {about for _, about in found} == {
        "settings",
        "database",
        "tables",
        "clock",
        "journal",
        "queue prefix",
    }


def test_a_registry_that_is_not_there_is_not_made(settings: Settings) -> None:
    assert "not there yet" in look(settings, "database")["warning", "database"]
    assert not (settings.data_dir / "caliper.db").exists()
    assert ("warning", "workers") not in look(settings, "workers", "artifacts", "keys")


def test_tables_of_an_older_and_of_a_newer_release(settings: Settings) -> None:
    path = settings.data_dir / "caliper.db"
    sqlite3.connect(path).close()
    path.touch()
    assert "revision none" in look(settings, "database")["problem", "tables"]
    migrate(settings.database_url, "0003")
    assert "revision 0003" in look(settings, "database")["problem", "tables"]
    migrate(settings.database_url)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    (found,) = [f for f in examine(settings, names=["database"]) if f.about == "tables"]
    assert found.verdict is Verdict.PROBLEM
    assert "newer" in found.advice


def test_a_file_that_is_no_database(settings: Settings) -> None:
    (settings.data_dir / "caliper.db").write_bytes(b"no database at all" * 100)
    assert any(verdict == "problem" for verdict, _ in look(settings, "database"))


def test_postgresql_with_a_wrong_password_and_one_that_is_not_there(
    settings: Settings, migrated_postgresql: str, free_port: int
) -> None:
    well = settings.model_copy(update={"database_url": migrated_postgresql})
    assert only_ok(well, "database")
    away = f"postgresql+psycopg://u:{SECRET}@127.0.0.1:{free_port}/x"
    found = list(examine(settings.model_copy(update={"database_url": away}), names=["database"]))[-1]
    assert found.verdict is Verdict.PROBLEM
    assert SECRET not in found.said + found.advice


def test_a_wrong_password_of_the_database_is_told_as_such(
    settings: Settings, migrated_postgresql: str, guarded_role: str
) -> None:
    def at(password: str) -> Settings:
        url = re.sub("://[^@]*@", f"://{guarded_role}:{password}@", migrated_postgresql)
        return settings.model_copy(update={"database_url": url})

    assert ("ok", "database") in look(at(SECRET), "database")
    found = list(examine(at("another-password"), names=["database"]))[-1]
    assert found.verdict is Verdict.PROBLEM
    assert "CALIPER_DATABASE_PASSWORD" in found.advice
    assert "another-password" not in found.said


@pytest.fixture
def guarded_role(postgresql_url: str) -> Iterator[str]:
    """A role of the server that must give its password; the others go on without."""
    engine = create_engine(postgresql_url)
    with engine.connect() as connection:
        rules = Path(str(connection.execute(text("SHOW hba_file")).scalar()))
    engine.dispose()
    before = rules.read_text()
    rules.write_text(f"local all guarded scram-sha-256\n{before}")
    make = f"CREATE ROLE guarded SUPERUSER LOGIN PASSWORD '{SECRET}'"
    ask_postgresql(postgresql_url, make, "SELECT pg_reload_conf()")
    yield "guarded"
    rules.write_text(before)
    ask_postgresql(postgresql_url, "SELECT pg_reload_conf()", "DROP ROLE guarded")


def test_jobs_under_another_prefix_are_found(settings: Settings, registry: Database) -> None:
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        add_job(session, make_job(dataset, queue="other.cpu"))
    assert "1 jobs wait in other.cpu" in look(settings, "database")["problem", "queue prefix"]


def test_clocks_that_differ_are_told(settings: Settings, registry: Database, monkeypatch: Any) -> None:
    real = time.time
    monkeypatch.setattr("app.doctor.database.time.time", lambda: real() - 60)
    assert "+60" in look(settings, "database")["warning", "clock"]


# Redis


def test_redis_as_the_stack_starts_it_is_well(settings: Settings, redis_server: RedisServer) -> None:
    assert only_ok(settings, "redis")


def test_redis_that_would_forget(settings: Settings, redis_server: RedisServer) -> None:
    with Redis.from_url(settings.redis_client_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        found = look(settings, "redis")
        assert "allkeys-lru" in found["problem", "redis memory"]
        assert ("warning", "redis durability") in found
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", str(client.info()["used_memory"] + 1_000))
        assert ("warning", "redis memory") in look(settings, "redis")


def test_a_wrong_password_of_redis(settings: Settings, redis_server: RedisServer) -> None:
    with Redis.from_url(settings.redis_client_url) as client:
        client.config_set("requirepass", SECRET)
    (found,) = list(examine(settings, names=["redis"]))[1:]
    assert found.verdict is Verdict.PROBLEM
    assert "CALIPER_REDIS_PASSWORD" in found.advice


def test_the_bundled_redis_is_missed_only_while_the_service_runs(settings: Settings) -> None:
    assert "does not run" in look(settings, "redis")["warning", "redis"]
    (settings.data_dir / "run").mkdir()
    lock = StackLock(settings.data_dir / "run")
    lock.acquire()
    try:
        found = list(examine(settings, names=["redis"]))[-1]
        assert found.verdict is Verdict.PROBLEM
        assert "the service runs" in found.advice
    finally:
        lock.release()
    assert ("warning", "redis") in look(settings, "redis")


def test_a_redis_that_was_named_and_does_not_answer(settings: Settings, free_port: int) -> None:
    away = settings.model_copy(update={"redis_url": f"redis://:{SECRET}@127.0.0.1:{free_port}/0"})
    (found,) = list(examine(away, names=["redis"]))[1:]
    assert found.verdict is Verdict.PROBLEM
    assert SECRET not in found.said


# The API, its port, keys, readiness


def test_a_running_service_is_found_and_what_it_says_is_told(here: Settings) -> None:
    found = look(here, "api", "readiness")
    assert "answers at" in found["ok", "api"]
    assert found["ok", "ready: database"] == "ok"
    assert "none was heard of" in found["problem", "ready: worker"]


def test_a_queue_that_is_not_consumed_is_told(here: Settings, registry: Database) -> None:
    with registry.write() as session:
        register_worker(session, describe_worker("w", "caliper.cpu", "cpu", {}, {}))
    said = look(here, "readiness")["problem", "ready: queue:caliper.cpu"]
    assert said == UNPROVEN or "none takes it" in said


def test_nothing_listens_and_somebody_else_does(settings: Settings) -> None:
    assert "the port is free" in look(settings, "api")["warning", "api"]
    with socket.create_server(("127.0.0.1", settings.port)):
        found = look(settings, "api")["problem", "api"]
        assert f"({os.getpid()})" in found
        assert find_listener(settings.port).endswith(f"({os.getpid()})")
    assert find_listener(settings.port) == ""


def test_an_address_that_is_not_this_machines(settings: Settings) -> None:
    away = settings.model_copy(update={"host": "192.0.2.1"})
    assert "cannot listen" in look(away, "api")["problem", "api"]


def test_open_to_others_without_keys(settings: Settings) -> None:
    assert "off" in look(settings, "keys")["ok", "keys"]
    wide = settings.model_copy(update={"host": "0.0.0.0"})
    assert "0.0.0.0" in look(wide, "keys")["problem", "keys"]


def test_keys_that_are_needed_but_nobody_has(settings: Settings, registry: Database) -> None:
    strict = settings.model_copy(update={"require_keys": True})
    assert "none is valid" in look(strict, "keys")["problem", "keys"]


# Workers


def start_worker(registry: Database, name: str = "w1", **values: Any) -> None:
    from app.network.disk.contents import WRITER_VERSIONS

    with registry.write() as session:
        worker = describe_worker(name, "caliper.cpu", "cpu", {"name": "a CPU"}, dict(WRITER_VERSIONS))
        register_worker(session, worker)
        for column, value in values.items():
            setattr(session.get_one(Worker, name), column, value)


def test_workers_that_are_alive_silent_old_and_off_by_a_minute(
    settings: Settings, registry: Database
) -> None:
    assert "none is alive" in look(settings, "workers")["warning", "workers"]
    start_worker(registry)
    assert "w1 serves cpu" in look(settings, "workers")["ok", "worker"]
    start_worker(registry, "w2", seen_at=time.time() - 7_200)
    assert "w2 (cpu) fell silent 2:00:" in look(settings, "workers")["warning", "worker"]
    start_worker(registry, "w2", versions={"caliper": "0.0.1"})
    assert "release 0.0.1" in look(settings, "workers")["warning", "worker"]
    start_worker(registry, "w2", protocol=1)
    assert ("warning", "worker") in look(settings, "workers")


def test_a_workers_clock_is_known_by_the_job_that_it_holds(settings: Settings, registry: Database) -> None:
    start_worker(registry)
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        job_id = add_job(session, make_job(dataset)).id
    with registry.write() as session:
        assert claim_job(session, job_id, "w1", 600)
    assert ("ok", "worker") in look(settings, "workers")
    with registry.write() as session:
        session.get_one(Attempt, (job_id, 1)).started_at = utc_now() + timedelta(minutes=5)
    assert "by +300" in look(settings, "workers")["warning", "worker"]


def test_one_of_two_workers_that_takes_nothing(settings: Settings, registry: Database) -> None:
    for name in ("w1", "w2"):
        start_worker(registry, name)
        with registry.write() as session:
            note_taken(session, "caliper.cpu", name)
    assert ("warning", "worker") not in look(settings, "workers")
    with registry.write() as session:
        session.get_one(Consumption, ("caliper.cpu", "w2")).consumed_at -= 3_600
    assert "w2 is idle and takes nothing" in look(settings, "workers")["warning", "worker"]


# Artifacts


@pytest.fixture
def stored(service: Service, here: Settings) -> Path:
    """The file of an uploaded checkpoint."""
    sha256 = service.upload_checkpoint()["sha256"]
    assert only_ok(here, "artifacts")
    return FolderStorage(here.artifacts_dir).path(sha256)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"short"), "5 bytes, its row says"),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "has another content"),
    ],
    ids=["missing", "short", "changed"],
)
def test_files_that_are_not_as_their_rows_say(
    stored: Path, here: Settings, harm: Callable[[Path], object], said: str
) -> None:
    harm(stored)
    found = look(here, "artifacts")["problem", "artifacts"]
    assert said in found
    assert stored.name in found


def test_files_without_a_registry(settings: Settings) -> None:
    FolderStorage(settings.artifacts_dir)
    assert "no registry" in look(settings, "artifacts")["warning", "artifacts"]


# All of it


def test_a_check_that_hangs_costs_its_own_time_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(_patient: Patient) -> Iterator[Finding]:
        yield ok("slow", "begun")
        time.sleep(60)

    def fail(_patient: Patient) -> Iterator[Finding]:
        raise RuntimeError("a defect")
        yield ok("never", "")

    monkeypatch.setattr(EXAMINE, "CHECKS", {"slow": hang, "broken": fail, "keys": CHECKS["keys"]})
    found = list(examine(settings, seconds=0.5))
    assert [(str(f.verdict), f.about) for f in found] == [
        ("ok", "settings"),
        ("ok", "slow"),
        ("problem", "slow"),
        ("problem", "broken"),
        ("ok", "keys"),
    ]
    assert "0.5 s" in found[2].said
    assert "a defect" in found[3].said


def test_the_command_says_it_in_words_and_in_json(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {name: check for name, check in CHECKS.items() if name != "device"}
    monkeypatch.setattr(EXAMINE, "CHECKS", quick)
    monkeypatch.setenv("CALIPER_PORT", str(settings.port))
    monkeypatch.setenv("CALIPER_REDIS_URL", f"redis://:{SECRET}@127.0.0.1:1/0")
    arguments = ["doctor", "--data-dir", str(settings.data_dir)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 1
    assert "problem  redis:" in told.stdout
    assert "→" in told.stdout
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert as_json.exit_code == 1
    findings = json.loads(as_json.stdout)
    assert {"verdict", "about", "said", "advice"} == set(findings[0])
    assert SECRET not in told.output + as_json.output
    assert not (settings.data_dir / "caliper.db").exists()


def test_a_well_installation_exits_with_0(
    here: Settings, registry: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_worker(registry, "w1")
    with registry.write() as session:
        note_taken(session, "caliper.cpu", "w1")
    names = ("database", "redis", "api", "keys", "readiness", "workers", "artifacts")
    eventually(lambda: only_ok(here, *names))
    monkeypatch.setattr(EXAMINE, "CHECKS", {name: CHECKS[name] for name in names})
    environment = {**here.environment(), "CALIPER_DATA_DIR": str(here.data_dir)}
    told = CliRunner().invoke(app, ["doctor"], env=environment)
    assert told.exit_code == 0, told.output
    assert "0 problems" in told.output
