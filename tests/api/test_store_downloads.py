"""The service with its artifacts in a store: what goes in comes out, whole, by ranges and by presigned links."""

import asyncio
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
from running_service import Service, eventually, is_problem, running, safetensors_file
from s3_server import S3Server, store_settings

from app.actions.back_up import back_up
from app.actions.restore_backup import restore_backup
from app.client import AsyncClient, Client
from app.errors import Conflict
from app.main import build_parts, check_storage
from app.settings import Settings
from app.storage import Storage

FILE = safetensors_file(64, (512, 256))


@pytest.fixture
def store(s3_server: S3Server, tmp_path: Path, sqlite_template: Path) -> Settings:
    settings = store_settings(s3_server.url, s3_server.new_bucket(), tmp_path / "a")
    settings.data_dir.mkdir()
    shutil.copy(sqlite_template, settings.data_dir / "caliper.db")
    return settings


@pytest.fixture
def shared(store: Settings, migrated_postgresql: str) -> Settings:
    """The same with a registry that several API processes may use."""
    return store.model_copy(update={"database_url": migrated_postgresql})


@pytest.fixture
def service(store: Settings) -> Iterator[Service]:
    with running(store) as started:
        yield started


def as_replica(store: Settings, folder: Path, **values: Any) -> Settings:
    """Another API process of the same registry and store, with a disk of its own."""
    return store.model_copy(update={"data_dir": folder, **values})


def test_a_checkpoint_comes_back_whole_and_by_ranges(service: Service) -> None:
    row = service.upload_checkpoint(FILE)
    path = f"/checkpoints/{row['id']}/file"
    whole = service.get(path)
    assert whole.content == FILE
    assert whole.headers["etag"] == f'"{hashlib.sha256(FILE).hexdigest()}"'
    assert whole.headers["content-disposition"] == f'attachment; filename="{row["id"]}.safetensors"'
    part = service.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, FILE[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(FILE)}"
    several = service.get(path, headers={"Range": "bytes=0-9, 1000-1009"})
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert FILE[1000:1010] in several.content
    is_problem(service.get(path, headers={"Range": f"bytes={len(FILE)}-"}), 416, "range_not_satisfiable")
    assert service.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    head = service.http.head(path)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(FILE)))


def test_no_file_of_the_upload_stays_on_the_apis_disk(service: Service, store: Settings) -> None:
    service.upload_checkpoint(FILE)
    left = [path for path in store.artifacts_dir.rglob("*") if path.is_file()]
    assert left == []


def test_a_stored_checkpoint_is_inspected_by_a_few_kilobytes(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save({f"layer{n}.weight": torch.zeros(512, 512) for n in range(8)}, file)
    row = service.upload_checkpoint(file.getvalue())
    asked: list[int] = []
    one = obstore.get_range

    def get_range(*args: Any, length: int, **kwargs: Any) -> Any:
        asked.append(length)
        return one(*args, length=length, **kwargs)

    monkeypatch.setattr(obstore, "get_range", get_range)
    report = service.get(f"/checkpoints/{row['id']}/inspection").json()
    kept = service.get(f"/checkpoints/{row['id']}").json()["report"]
    assert {**report, "findings": [], "bytes_read": 0} == {**kept, "findings": [], "bytes_read": 0}
    assert len(report["tensors"]) == 8
    with Client(service.url) as client:
        assert client.inspect_registered(row["id"])["architecture"] == report["architecture"]
    assert 0 < sum(asked) <= 32_768
    assert row["bytes"] > 8_000_000


def test_an_export_is_made_from_ranges(service: Service, store: Settings) -> None:
    row = service.upload_checkpoint(FILE)
    is_problem(service.get(f"/checkpoints/{row['id']}/export?format=safetensors"), 422, "not_exportable")
    assert not (store.artifacts_dir / "cache").exists()


def test_a_download_is_redirected_where_the_settings_say_so(store: Settings, tmp_path: Path) -> None:
    with running(store.model_copy(update={"checkpoint_downloads": "redirect"})) as service:
        row = service.upload_checkpoint(FILE)
        path = f"/checkpoints/{row['id']}/file"
        answer = service.get(path)
        assert answer.status_code == 307
        assert answer.headers["etag"] == f'"{hashlib.sha256(FILE).hexdigest()}"'
        assert answer.headers["cache-control"] == "no-store"
        given = httpx.get(answer.headers["location"], trust_env=False)
        assert given.content == FILE
        assert given.headers["content-disposition"] == answer.headers["content-disposition"]
        assert service.http.head(path).status_code == 200
        with Client(service.url, headers={"X-Only": "for-the-service"}) as client:
            target = client.download(row["id"], tmp_path / "one.safetensors")
        assert target.read_bytes() == FILE
        assert asyncio.run(download_awaiting(service.url, row["id"], tmp_path / "two")).read_bytes() == FILE


async def download_awaiting(url: str, checkpoint: str, target: Path) -> Path:
    async with AsyncClient(url) as client:
        return await client.download(checkpoint, target)


def test_an_upload_goes_on_at_another_process(shared: Settings, tmp_path: Path) -> None:
    with running(shared) as first, running(as_replica(shared, tmp_path / "b")) as second:
        check_two_take_turns(first, second)


def check_two_take_turns(first: Service, second: Service) -> None:
    begun = first.post("/uploads", json={"name": "parts", "bytes": len(FILE)}).json()
    half = len(FILE) // 2

    def send(to: Service, start: int, end: int) -> httpx.Response:
        headers = {"Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
        return to.http.patch(f"/uploads/{begun['id']}", content=FILE[start:end], headers=headers)

    assert send(first, 0, half).json()["received"] == half
    assert second.get(f"/uploads/{begun['id']}").json()["received"] == half
    assert is_problem(send(second, 0, half), 409, "conflict")["received"] == half
    whole = [("upload", (None, begun["id"]))]
    is_problem(second.post("/checkpoints", files=whole), 409, "conflict")
    assert send(second, half, len(FILE)).json()["received"] == len(FILE)
    row = first.post("/checkpoints", files=whole).json()
    assert second.get(f"/checkpoints/{row['id']}/file").content == FILE
    assert first.parts.storage.uploads.received(begun["id"]) == 0


def test_what_is_deleted_is_gone_from_the_store(service: Service) -> None:
    row = service.upload_checkpoint(FILE)
    assert service.http.delete(f"/checkpoints/{row['id']}").status_code == 204
    assert service.parts.storage.listed() == {}
    is_problem(service.get(f"/checkpoints/{row['id']}/file"), 404, "not_found")


def test_bytes_that_were_lost_are_told(service: Service) -> None:
    row = service.upload_checkpoint(FILE)
    service.parts.storage.remove(row["sha256"])
    for path in ("file", "inspection"):
        is_problem(service.get(f"/checkpoints/{row['id']}/{path}"), 404, "not_found")


def test_orphans_are_swept_from_the_store(store: Settings) -> None:
    with running(store.model_copy(update={"orphan_seconds": 0.4})) as service:
        named = service.upload_checkpoint(FILE)["sha256"]
        storage: Storage = service.parts.storage
        with storage.receive() as path:
            path.write_bytes(b"nobody's")
            spooled = path.with_name("spooled")
            with path.open("rb") as file:
                stored = storage.spool(file, spooled, limit=100, limit_name="bytes")
            storage.adopt(spooled, stored)
        eventually(lambda: set(storage.listed()) == {named})


def test_a_backup_of_a_store_is_restored_to_another(
    service: Service, store: Settings, s3_server: S3Server, tmp_path: Path
) -> None:
    row = service.upload_checkpoint(FILE)
    first = back_up(store, tmp_path / "backup")
    assert (first.manifest.files, first.copied, first.manifest.lost) == (1, 1, ())
    assert back_up(store, tmp_path / "backup").copied == 0
    elsewhere = store_settings(s3_server.url, s3_server.new_bucket(), tmp_path / "restored")
    restore_backup(elsewhere, tmp_path / "backup")
    with running(elsewhere) as restored:
        assert restored.get(f"/checkpoints/{row['id']}/file").content == FILE


def test_a_service_on_anothers_store_does_not_start(
    service: Service, store: Settings, tmp_path: Path, sqlite_template: Path
) -> None:
    database_url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'stranger.db')}"
    parts = build_parts(
        store.model_copy(update={"data_dir": tmp_path / "stranger", "database_url": database_url})
    )
    with pytest.raises(Conflict, match="belongs to another registry"):
        check_storage(parts)
    assert service.get("/healthz").status_code == 200
    parts.database.close()
