"""A backup made while checkpoints come and go is whole: restored elsewhere, all opens, all matches, it serves."""

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from factories import make_checkpoint, make_dataset, make_job
from running_service import running, safetensors_file
from typer.testing import CliRunner

from app.actions import back_up as back_up_module
from app.actions.back_up import BackedUp, back_up
from app.actions.restore_backup import Restored, restore_backup
from app.checkpoint.inspect import inspect_checkpoint
from app.cli import app
from app.errors import CaliperError, Conflict, InvalidInput, NotFound
from app.registry.attempts import claim_job
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import add_checkpoint, delete_checkpoint
from app.registry.database import Database, migrate, new_id
from app.registry.jobs import add_job, get_job
from app.registry.tables import Checkpoint, Upload, utc_now
from app.settings import Settings
from app.storage import FolderStorage, hash_file


class Run:
    """A job that writes one checkpoint after the other and deletes the one before, as a worker does."""

    def __init__(self, registry: Database, storage: FolderStorage) -> None:
        self.registry, self.storage = registry, storage
        self.latest: Checkpoint | None = None
        self.kept = 0
        with registry.write() as session:
            dataset = make_dataset(file_sha256=self.store(b"bars"))
            session.add(dataset)
            session.flush()
            self.job_id = add_job(session, make_job(dataset)).id
        with registry.write() as session:
            assert claim_job(session, self.job_id, "worker", 600)

    def store(self, content: bytes) -> str:
        with self.storage.receive() as path:
            path.write_bytes(content)
            stored = hash_file(path)
            self.storage.adopt(path, stored)
        return stored.sha256

    def keep_one(self) -> None:
        self.kept += 1
        content = safetensors_file(obs_dim=3 + self.kept)
        row = make_checkpoint(
            id=new_id("checkpoint"), kind="periodic", sha256=self.store(content), job_id=self.job_id
        )
        with self.registry.write() as session:
            add_checkpoint(session, row)
            gone = self.latest and delete_checkpoint(session, session.get_one(Checkpoint, self.latest.id))
        if gone and self.latest:
            self.storage.remove(self.latest.sha256)
        self.latest = row

    @contextmanager
    def going_on(self) -> Iterator[None]:
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                self.keep_one()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def run(registry: Database, storage: FolderStorage) -> Run:
    run = Run(registry, storage)
    run.keep_one()
    return run


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "elsewhere")


def check_restored(settings: Settings, job_id: str) -> list[Checkpoint]:
    """Every checkpoint opens and matches its hash, the job waits, and the service answers."""
    storage, database = FolderStorage(settings.artifacts_dir), Database(settings.database_url)
    with database.read() as session:
        rows = list(list_checkpoints(session, limit=999))
        job = get_job(session, job_id)
    database.close()
    assert rows
    for row in rows:
        path = storage.path(row.sha256)
        assert hash_file(path).sha256 == row.sha256
        assert inspect_checkpoint(path, name="c.safetensors").parameters > 0
    assert (job.state, job.failures) == ("queued", 0)
    with running(settings) as service:
        assert [each["id"] for each in service.get("/checkpoints").json()["items"]] == [
            row.id for row in rows
        ]
        file = service.get(f"/checkpoints/{rows[0].id}/file")
        assert file.headers["etag"].strip('"') == rows[0].sha256
    return rows


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_what_is_backed_up_while_a_job_writes_is_whole(
    run: Run, settings: Settings, elsewhere: Settings, tmp_path: Path, name: str
) -> None:
    with run.going_on():
        done = back_up(settings, tmp_path / name)
    assert done.manifest.lost == ()
    assert done.manifest.files == 2  # the bars and the one live checkpoint
    assert restore_backup(elsewhere, tmp_path / name) == Restored(done.manifest, requeued=1)
    check_restored(elsewhere, run.job_id)


def test_a_file_that_goes_between_registry_and_link_makes_it_look_again(
    run: Run, settings: Settings, elsewhere: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = 0
    real = back_up_module.copy_registry

    def copy_and_go_on(database: Database, target: Path) -> None:
        nonlocal copied
        real(database, target)
        copied += 1
        if copied == 1:
            run.keep_one()  # what the copy names is deleted by now

    monkeypatch.setattr(back_up_module, "copy_registry", copy_and_go_on)
    done = back_up(settings, tmp_path / "backup")
    assert copied == 2
    assert done.manifest.lost == ()
    restore_backup(elsewhere, tmp_path / "backup")
    assert run.latest is not None
    assert [row.id for row in check_restored(elsewhere, run.job_id)] == [run.latest.id]


def test_a_second_backup_writes_what_is_new_and_drops_what_is_named_no_more(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    assert back_up(settings, tmp_path / "backup").copied == 2
    assert back_up(settings, tmp_path / "backup").copied == 0
    run.keep_one()
    assert back_up(settings, tmp_path / "backup").copied == 1
    assert len(list((tmp_path / "backup" / "objects").glob("*/*"))) == 2


def test_a_lost_file_is_told_and_the_rest_is_backed_up(
    run: Run, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    assert run.latest is not None
    FolderStorage(settings.artifacts_dir).remove(run.latest.sha256)
    done = back_up(settings, tmp_path / "backup")
    assert (done.manifest.lost, done.copied) == ((run.latest.sha256,), 1)
    assert restore_backup(elsewhere, tmp_path / "backup").requeued == 1


def test_a_damaged_file_is_not_taken_for_its_hash(run: Run, settings: Settings, tmp_path: Path) -> None:
    assert run.latest is not None
    FolderStorage(settings.artifacts_dir).path(run.latest.sha256).write_bytes(b"rot")
    assert back_up(settings, tmp_path / "backup").manifest.lost == (run.latest.sha256,)


def test_an_unfinished_upload_is_not_restored(
    run: Run, registry: Database, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    with registry.write() as session:
        session.add(Upload(id=new_id("upload"), name="half", bytes=10, expires_at=utc_now()))
    back_up(settings, tmp_path / "backup")
    restore_backup(elsewhere, tmp_path / "backup")
    database = Database(elsewhere.database_url)
    with database.read() as session:
        assert session.query(Upload).count() == 0
    database.close()


@pytest.mark.parametrize("harm", ["object", "registry", "missing", "manifest", "stranger"])
def test_a_harmed_backup_is_refused_and_nothing_is_restored(
    run: Run, settings: Settings, elsewhere: Settings, tmp_path: Path, harm: str
) -> None:
    backup = tmp_path / "backup"
    back_up(settings, backup)
    place = next((backup / "objects").glob("*/*"))
    if harm == "object":
        place.write_bytes(b"rot")
    elif harm == "registry":
        (backup / "registry.db").write_bytes(b"rot")
    elif harm == "missing":
        place.unlink()
    elif harm == "manifest":
        (backup / "manifest.json").write_text(json.dumps({"format": 99}))
    else:
        place.with_name("evil").write_bytes(b"x")
    with pytest.raises(InvalidInput):
        restore_backup(elsewhere, backup)
    assert not (elsewhere.data_dir / "caliper.db").exists()


def test_nothing_is_restored_over_a_registry_nor_from_nothing(
    run: Run, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    back_up(settings, tmp_path / "backup")
    with pytest.raises(Conflict, match="is there already"):
        restore_backup(settings, tmp_path / "backup")
    with pytest.raises(NotFound):
        restore_backup(elsewhere, tmp_path / "nothing")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="something else"):
        back_up(settings, tmp_path / "other")


def test_an_unfinished_or_foreign_tar_is_refused(elsewhere: Settings, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("registry.db"), io.BytesIO())
    (tmp_path / "b.tar").write_bytes(b"no tar at all")
    for name in ("a.tar", "b.tar"):
        with pytest.raises(CaliperError):
            restore_backup(elsewhere, tmp_path / name)


def test_postgresql_is_left_to_pg_dump(fresh_postgresql: str, tmp_path: Path) -> None:
    migrate(fresh_postgresql)
    with pytest.raises(InvalidInput, match="SQLite") as refused:
        back_up(Settings(data_dir=tmp_path / "data", database_url=fresh_postgresql), tmp_path / "backup")
    assert "pg_dump" in refused.value.hint


def test_the_commands_back_up_and_restore(
    run: Run, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    target = str(tmp_path / "backup.tar")
    made = CliRunner().invoke(app, ["backup", target, "--data-dir", str(settings.data_dir), "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["files"] == 2
    back = CliRunner().invoke(app, ["restore", target, "--data-dir", str(elsewhere.data_dir), "--json"])
    assert back.exit_code == 0, back.output
    assert json.loads(back.stdout)["requeued"] == 1
    tidied = CliRunner().invoke(
        app, ["registry", "tidy", "--vacuum", "--json"], env={"CALIPER_DATA_DIR": str(elsewhere.data_dir)}
    )
    assert json.loads(tidied.stdout) == {
        "jobs": 0,
        "points": 0,
        "events": 0,
        "audit": 0,
        "log_lines": 0,
        "vacuumed": True,
    }
    assert isinstance(back_up(elsewhere, tmp_path / "again"), BackedUp)
