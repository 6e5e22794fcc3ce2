"""What docs/deployment.md says of PostgreSQL: dump and copy, destroy everything, restore, and it serves as before."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import ask_postgresql
from factories import small_spec, upload_googl
from running_service import running
from sqlalchemy import inspect, select

from app.actions.submit_job import submit_job
from app.registry.attempts import claim_job
from app.registry.database import Database, new_id
from app.registry.metrics import record_progress
from app.registry.tables import Base
from app.settings import Settings
from app.storage import FolderStorage, hash_file

pytestmark = pytest.mark.xdist_group("postgresql")

SPEC = find_spec("pgserver")  # found, not imported: that warns of a machine without a session
BINARIES = Path(str(SPEC.origin if SPEC else "")).parent / "pginstall" / "bin"
DEPLOYMENT = Path(__file__).parents[2] / "docs" / "deployment.md"


def run(program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, as the server's user where the tests run as root."""
    done = subprocess.run(
        [str(BINARIES / program), *arguments], check=False, capture_output=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr.decode()


def libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    found = {}
    with database.read() as session:
        for table in Base.metadata.sorted_tables:
            rows = session.execute(select(table).order_by(*table.primary_key)).all()
            found[table.name] = [tuple(map(repr, row)) for row in rows]
    return found


def test_dump_destroy_restore_and_it_serves(
    postgresql_url: str, migrated_postgresql: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=migrated_postgresql)
    before, files = fill(settings)
    backup = tmp_path / "backup"
    backup.mkdir()
    copy = ["cp", "-a", "-u", str(settings.artifacts_dir), str(backup)]
    subprocess.run(copy, check=True)
    run("pg_dump", "-Fc", "-f", str(backup / "caliper.dump"), "-d", libpq(migrated_postgresql))
    subprocess.run(copy, check=True)

    shutil.rmtree(settings.data_dir)
    name = new_id("t")
    ask_postgresql(postgresql_url, f"CREATE DATABASE {name}")
    empty = postgresql_url.replace("/postgres?", f"/{name}?")
    try:
        run("pg_restore", "-d", libpq(empty), "--clean", "--if-exists", str(backup / "caliper.dump"))
        restored = Settings(data_dir=tmp_path / "data", database_url=empty)
        restored.data_dir.mkdir()
        shutil.copytree(backup / "artifacts", restored.artifacts_dir)
        check(restored, before, files)
    finally:
        ask_postgresql(postgresql_url, f"DROP DATABASE {name} WITH (FORCE)")


def fill(settings: Settings) -> tuple[dict[str, list[tuple[Any, ...]]], dict[str, bytes]]:
    """A service's life in small: a dataset, jobs in three states, checkpoints; its rows and files."""
    database = Database(settings.database_url)
    upload_googl(database, FolderStorage(settings.artifacts_dir), settings)
    jobs = [submit_job(database, settings, small_spec(), request_id=f"r{n}").job.id for n in range(3)]
    with database.write() as session:
        claim = claim_job(session, jobs[0], "worker", 600)
        assert claim
        record_progress(session, claim.hold, 128, {"policy_loss": 0.5, "steps_per_second": 1_000.0})
    with running(settings) as service:
        kept = service.upload_checkpoint()
        service.http.patch(f"/checkpoints/{kept['id']}", json={"tags": ["kept"], "aliases": ["live"]})
        assert service.post(f"/jobs/{jobs[1]}/cancel").status_code == 200
    rows = everything(database)
    database.close()
    files = {path.name: path.read_bytes() for path in (settings.artifacts_dir / "objects").glob("*/*")}
    assert files
    return rows, files


def check(settings: Settings, before: dict[str, list[tuple[Any, ...]]], files: dict[str, bytes]) -> None:
    """All rows, all files, and the service works on them."""
    database = Database(settings.database_url)
    assert everything(database) == before
    assert set(inspect(database.engine).get_table_names()) >= set(before)
    database.close()
    stored = list((settings.artifacts_dir / "objects").glob("*/*"))
    assert {path.name: path.read_bytes() for path in stored} == files
    for path in stored:
        assert hash_file(path).sha256 == path.parent.name + path.name
    with running(settings) as service:
        states = sorted(job["state"] for job in service.get("/jobs").json()["items"])
        assert states == ["cancelled", "queued", "running"]
        live = service.get("/checkpoints/live").json()
        assert len(service.get("/checkpoints/live/file").content) == live["bytes"]
        spec = {"dataset": "googl", "total_timesteps": 512, "hidden_dims": [8]}
        costs = {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
        answer = service.post("/jobs", json={**spec, "environment": {"costs": costs}})
        assert answer.status_code == 202, answer.text


def test_the_page_says_what_is_tested_here() -> None:
    page = re.sub(r"\s+", " ", DEPLOYMENT.read_text())
    for words in (
        "cp -a -u",
        "pg_dump -U caliper -Fc",
        "pg_restore -U caliper -d caliper --clean --if-exists",
    ):
        assert words in page
