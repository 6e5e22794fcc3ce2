"""Take an uploaded checkpoint: inspect it, keep it under its hash, register it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.actions.continue_upload import hold_upload
from app.actions.inspect_upload import ReadUpload, Upload, read_file, read_upload
from app.actions.label_checkpoint import check_labels
from app.errors import CaliperError, Conflict, InvalidInput, Unavailable
from app.registry import tables
from app.registry.checkpoints import add_checkpoint, add_tags, find_checkpoint, find_twin, set_tags
from app.registry.database import Database, Session, new_id
from app.registry.idempotency import bind
from app.registry.tables import Checkpoint
from app.registry.uploads import find_upload
from app.settings import Settings
from app.storage import Storage, Stored, hash_file

SCOPE = "checkpoints"

LONGEST_DIMS = 200
"""Longest text of layer widths that the registry keeps; the report has them all."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The checkpoint, and whether this request made it or one before."""

    checkpoint: Checkpoint
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """How a checkpoint is to be registered."""

    name: str
    """Its name; the same bytes under the same name are the checkpoint that is there."""
    tags: Sequence[str] = ()
    """Words to put on it."""
    idempotency_key: str | None = None
    """The request's key."""


def accept_checkpoint(  # noqa: PLR0913 - the service's three parts come first
    database: Database,
    storage: Storage,
    settings: Settings,
    upload: Upload,
    *,
    name: str,
    tags: Sequence[str] = (),
    idempotency_key: str | None = None,
    sha256: str | None = None,
) -> Accepted:
    """Register an upload, findings included: a hostile file is kept as evidence, never run.

    The same bytes are stored once; under the same name they are the same checkpoint, which gets the new tags.
    Raises UnreadableCheckpoint, LimitExceeded, InvalidInput (a tag, a hash that is not the stated `sha256`),
    IdempotencyMismatch.
    """
    check_labels("tags", tags)
    labels = Labels(name=name, tags=tags, idempotency_key=idempotency_key)
    with read_upload(storage, settings, upload, name=name) as read:
        check_hash(read.stored, sha256)
        return _register(database, storage, read, labels)


def accept_parts(  # noqa: PLR0913 - the service's three parts come first
    database: Database,
    storage: Storage,
    settings: Settings,
    upload_id: str,
    *,
    name: str | None = None,
    tags: Sequence[str] = (),
    idempotency_key: str | None = None,
    sha256: str | None = None,
) -> Accepted:
    """The same for an upload whose parts have all arrived; finishing it again gives the checkpoint it became.

    Raises NotFound, Conflict (bytes are missing) and what `accept_checkpoint` raises. What is refused as
    unreadable or as not of its hash is dropped with its bytes: sending more would not mend it.
    """
    check_labels("tags", tags)
    with database.read() as session:
        upload = find_upload(session, upload_id)
        if upload.checkpoint_id is not None:
            return Accepted(find_checkpoint(session, upload.checkpoint_id), created=False)
    labels = Labels(name=name or upload.name, tags=tags, idempotency_key=idempotency_key)
    with hold_upload(storage, upload) as path:
        try:
            stored = hash_file(path)
            check_hash(stored, upload.sha256)
            check_hash(stored, sha256)
            read = read_file(settings, path, stored, name=labels.name)
            return _register(database, storage, read, labels, upload_id=upload.id)
        except (Unavailable, Conflict):
            raise
        except CaliperError:
            path.write_bytes(b"")
            raise


def check_hash(stored: Stored, stated: str | None) -> None:
    """Raise InvalidInput where what arrived does not have the hash that the client stated."""
    if stated is not None and stated != stored.sha256:
        raise InvalidInput(
            f"what arrived has the sha256 {stored.sha256}, {stated} was stated",
            hint="the file changed or was damaged on its way; send it again from the start",
            pointer="sha256",
            actual_sha256=stored.sha256,
        )


def _register(
    database: Database, storage: Storage, read: ReadUpload, labels: Labels, upload_id: str | None = None
) -> Accepted:
    row = _describe(read, labels.name)
    storage.adopt(read.path, read.stored)
    with database.write() as session:
        accepted = _add(session, row, labels)
        upload = session.get(tables.Upload, upload_id) if upload_id is not None else None
        if upload is not None:
            upload.checkpoint_id = accepted.checkpoint.id
        return accepted


def _add(session: Session, row: Checkpoint, labels: Labels) -> Accepted:
    """Add the row, unless the key or the same bytes under the same name have made one before."""
    twin = find_twin(session, labels.name, row.sha256)
    wanted = row if twin is None else twin
    if labels.idempotency_key is not None:
        holder = bind(session, SCOPE, labels.idempotency_key, row.sha256, wanted.id)
        if holder != wanted.id:
            return Accepted(find_checkpoint(session, holder), created=False)
    if twin is not None:
        add_tags(session, twin.id, labels.tags)
        return Accepted(twin, created=False)
    add_checkpoint(session, row)
    set_tags(session, row.id, labels.tags)
    return Accepted(row, created=True)


def _describe(read: ReadUpload, name: str) -> Checkpoint:
    report = read.report
    facts = report.architecture
    return Checkpoint(
        id=new_id("checkpoint"),
        name=name,
        kind="uploaded",
        sha256=read.stored.sha256,
        bytes=read.stored.bytes,
        producer=report.producer,
        obs_dim=_count(facts.obs_dim.value),
        hidden_dims=_dims(facts.hidden_dims.value),
        action_dim=_count(facts.action_dim.value),
        parameters=_count(report.parameters) or 0,
        config=report.config if isinstance(report.config, dict) else None,
        versions=report.versions if isinstance(report.versions, dict) else None,
        metrics={},
        report=report.plain(),
    )


def _count(value: object) -> int | None:
    """A whole number that a column can hold: a file may claim any."""
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _dims(value: object) -> str | None:
    text = ",".join(map(str, value)) if isinstance(value, (tuple, list)) else ""
    return text if 0 < len(text) <= LONGEST_DIMS else None
