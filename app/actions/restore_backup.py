"""Restore a backup into a folder that holds no registry yet."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.actions.backup_container import REGISTRY, Manifest, reading
from app.actions.recognise_storage import use_storage
from app.errors import Conflict, InvalidInput
from app.registry.artifact_store import known_store
from app.registry.copies import check_copy, files_needed, settle_restored
from app.registry.database import Database, migrate
from app.settings import Settings
from app.storage import Storage, open_storage

OBJECT = re.compile(r"objects/([0-9a-f]{2})/([0-9a-f]{62})")
NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    manifest: Manifest
    requeued: int
    """Jobs that ran when the backup was made and wait again."""


def restore_backup(settings: Settings, source: Path) -> Restored:
    """Bring back registry and files; nothing is in place before all of it was checked against its hashes.

    Jobs that ran go on from their last checkpoint. Raises Conflict where a registry is there already, NotFound
    without a backup, InvalidInput for one that is damaged or incomplete.
    """
    place = _registry_place(settings)
    storage = open_storage(settings)
    with storage.receive() as path, reading(source) as (manifest, files):
        copy = path.parent / REGISTRY
        _take(storage, copy, manifest, files)
        check_copy(copy)
        requeued = _settle(storage, copy, manifest)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.hardlink_to(copy)  # fails where one came meanwhile
    return Restored(manifest, requeued)


def _registry_place(settings: Settings) -> Path:
    default = settings.data_dir / "caliper.db"
    if settings.database_url != f"sqlite:///{default}":
        hint = f"leave CALIPER_DATABASE_URL out: the registry is restored to {default}"
        raise InvalidInput("only the registry of a one-machine service is restored", hint=hint)
    if default.exists():
        hint = "choose an empty folder with --data-dir or CALIPER_DATA_DIR"
        raise Conflict(f"{default} is there already", hint=hint)
    return default


def _take(storage: Storage, copy: Path, manifest: Manifest, files: Iterator[tuple[str, BinaryIO]]) -> None:
    """Store each file under its hash, and the registry at `copy`."""
    for name, file in files:
        match = OBJECT.fullmatch(name)
        if name == REGISTRY:
            stored = storage.spool(file, copy, limit=NO_LIMIT, limit_name="registry")
            expected = manifest.registry_sha256
        elif match:
            expected = match[1] + match[2]
            with storage.receive() as path:
                stored = storage.spool(file, path, limit=NO_LIMIT, limit_name="file")
                if stored.sha256 == expected:
                    storage.adopt(path, stored)
        else:
            raise InvalidInput(
                f"the backup holds a file {name!r}", hint="use a backup that `caliper backup` made"
            )
        if stored.sha256 != expected:
            raise InvalidInput(f"{name} in the backup does not have its hash", hint="use another backup")


def _settle(storage: Storage, copy: Path, manifest: Manifest) -> int:
    """Bring the copy up to date and let go of what the old machine held; every file that it names is there."""
    if not copy.is_file():
        raise InvalidInput("the backup holds no registry", hint="use another backup")
    url = f"sqlite:///{copy}"
    migrate(url)
    database = Database(url)
    try:
        with database.write() as session:
            missing = set(files_needed(session)) - storage.listed().keys() - set(manifest.lost)
            if missing:
                raise InvalidInput(
                    f"the backup lacks {len(missing)} files that its registry names",
                    hint="use another backup",
                )
            requeued = settle_restored(session)
        _join(database, storage)
        return requeued
    finally:
        database.close()


def _join(database: Database, storage: Storage) -> None:
    """Let the registry know the storage that its files were restored to, unless that is another registry's."""
    with database.read() as session:
        known = known_store(session)
    mark = storage.read_mark()
    if mark is not None and (known is None or mark != known.mark):
        hint = "restore into an empty folder, or below another prefix of the store"
        raise Conflict(f"{storage.address} belongs to another registry", hint=hint)
    use_storage(database, storage)
