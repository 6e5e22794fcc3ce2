"""Back up a one-machine service while it runs: the registry at one moment, and every file that it names."""

import os
from dataclasses import dataclass
from pathlib import Path

from app.actions.backup_container import OBJECTS, REGISTRY, BackupTarget, Manifest, writing
from app.errors import NotFound
from app.registry.copies import copy_registry, files_needed
from app.registry.database import Database
from app.registry.tables import utc_now
from app.settings import Settings
from app.storage import Storage, hash_file, open_storage

MOST_ROUNDS = 50
"""Times that the registry is copied anew because a file that it named was gone before it could be held."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds, and how much of it was new."""

    manifest: Manifest
    copied: int
    """Files that were written; the others were there from the backup before."""


def back_up(settings: Settings, target: Path) -> BackedUp:
    """Write a backup to a folder or a .tar file.

    A run deletes its older checkpoints as it goes on. Files are therefore held right after the registry is
    copied, by hard links or, of a store, by copies; where one was gone already, the registry is copied anew. Raises InvalidInput for a
    registry that is not SQLite, or a target that holds something else.
    """
    storage = open_storage(settings)
    database = Database(settings.database_url)
    try:
        with storage.receive() as path, writing(target) as backup:
            registry, pins = path.parent / REGISTRY, path.parent / "pins"
            pins.mkdir()
            lost = _hold(database, storage, registry, pins, backup)
            return _write(backup, registry, pins, lost)
    finally:
        database.close()


def _hold(database: Database, storage: Storage, registry: Path, pins: Path, backup: BackupTarget) -> set[str]:
    """Copy the registry and hold all files that it names in `pins`; those that are nowhere to be had."""
    gone: set[str] = set()
    for _ in range(MOST_ROUNDS):
        registry.unlink(missing_ok=True)
        copy_registry(database, registry)
        copy = Database(f"sqlite:///{registry}")
        with copy.read() as session:
            missing = {sha256 for sha256 in files_needed(session) if not _pin(storage, pins / sha256, backup)}
        copy.close()
        # Named by two registries in a row and not there: not deleted meanwhile, but lost before.
        if missing <= gone:
            _drop_unnamed(registry, pins)
            return missing
        gone = missing
    return gone


def _pin(storage: Storage, pin: Path, backup: BackupTarget) -> bool:
    """Hold a file; a hole of its size stands for one that the backup has already, so that none is fetched twice."""
    if pin.exists():
        return True
    try:
        size = storage.find(pin.name).bytes
    except NotFound:
        return False
    if not backup.has(_name_of(pin), size):
        return storage.pin(pin.name, pin)
    pin.touch()
    os.truncate(pin, size)
    return True


def _name_of(pin: Path) -> str:
    return f"{OBJECTS}/{pin.name[:2]}/{pin.name[2:]}"


def _drop_unnamed(registry: Path, pins: Path) -> None:
    """Let go of files that only an earlier copy of the registry named."""
    copy = Database(f"sqlite:///{registry}")
    with copy.read() as session:
        named = set(files_needed(session))
    copy.close()
    for pin in pins.iterdir():
        if pin.name not in named:
            pin.unlink()


def _write(backup: BackupTarget, registry: Path, pins: Path, lost: set[str]) -> BackedUp:
    files = size = copied = 0
    for pin in sorted(pins.iterdir()):
        name, length = _name_of(pin), pin.stat().st_size
        if not backup.has(name, length):
            if hash_file(pin).sha256 != pin.name:
                lost.add(pin.name)
                continue
            backup.add(name, pin)
            copied += 1
        files, size = files + 1, size + length
    backup.add(REGISTRY, registry)
    manifest = Manifest(
        created_at=utc_now().isoformat(),
        registry_sha256=hash_file(registry).sha256,
        files=files,
        bytes=size,
        lost=tuple(sorted(lost)),
    )
    backup.finish(manifest)
    return BackedUp(manifest, copied)
