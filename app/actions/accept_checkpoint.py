"""Take an uploaded checkpoint: inspect it, keep it under its hash, register it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.access import LOCAL, Caller, require_owner
from app.actions.check_quota import check_upload_quota
from app.actions.continue_upload import hold_upload
from app.actions.inspect_upload import ReadUpload, Upload, read_file, read_upload
from app.actions.label_checkpoint import check_labels
from app.checkpoint.suffix import suffix_of
from app.errors import CaliperError, Conflict, InvalidInput, QuotaExceeded, Unavailable
from app.registry import tables
from app.registry.checkpoints import add_checkpoint, add_tags, find_checkpoint, find_twin, set_tags
from app.registry.database import Database, Session, new_id
from app.registry.idempotency import bind, scope_of
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
    caller: Caller = LOCAL
    """Whose it will be."""
    upload_id: str | None = None
    """The upload in parts that becomes it."""


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
    caller: Caller = LOCAL,
) -> Accepted:
    """Register an upload, findings included: a hostile file is kept as evidence, never run.

    The same bytes are stored once; under the same name they are the same checkpoint, which gets the new tags.
    Raises UnreadableCheckpoint, LimitExceeded, InvalidInput (a tag, a hash that is not the stated `sha256`),
    IdempotencyMismatch, QuotaExceeded (the caller's).
    """
    check_labels("tags", tags)
    labels = Labels(name=name, tags=tags, idempotency_key=idempotency_key, caller=caller)
    with read_upload(storage, settings, upload, name=name) as read:
        check_hash(read.stored, sha256)
        return _register(database, storage, settings, read, labels)


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
    caller: Caller = LOCAL,
) -> Accepted:
    """The same for an upload whose parts have all arrived; finishing it again gives the checkpoint it became.

    Raises NotFound, Forbidden (another key's), Conflict (bytes are missing) and what `accept_checkpoint` raises. What is refused as
    unreadable or as not of its hash is dropped with its bytes: sending more would not mend it.
    """
    check_labels("tags", tags)
    with database.read() as session:
        upload = find_upload(session, upload_id)
        require_owner(caller, upload.key_id, f"the upload {upload.id}")
        if upload.checkpoint_id is not None:
            return Accepted(find_checkpoint(session, upload.checkpoint_id), created=False)
    labels = Labels(
        name=name or upload.name,
        tags=tags,
        idempotency_key=idempotency_key,
        caller=caller,
        upload_id=upload.id,
    )
    with hold_upload(storage, upload) as path:
        try:
            stored = hash_file(path)
            check_hash(stored, upload.sha256)
            check_hash(stored, sha256)
            read = read_file(settings, path, stored, name=labels.name)
            return _register(database, storage, settings, read, labels)
        except (Unavailable, Conflict, QuotaExceeded):
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
    database: Database, storage: Storage, settings: Settings, read: ReadUpload, labels: Labels
) -> Accepted:
    row = _describe(read, labels)
    with database.read() as session:  # before the bytes are kept; again where the row is added
        if _find_twin(session, row) is None:
            _check_quota(session, settings, row, labels)
    storage.adopt(read.path, read.stored, row.id + suffix_of(read.report.format))
    with database.write() as session:
        accepted = _add(session, settings, row, labels)
        upload = session.get(tables.Upload, labels.upload_id) if labels.upload_id is not None else None
        if upload is not None:
            upload.checkpoint_id = accepted.checkpoint.id
        return accepted


def _check_quota(session: Session, settings: Settings, row: Checkpoint, labels: Labels) -> None:
    check_upload_quota(session, settings, row.key_id, row.bytes, without_upload=labels.upload_id)


def _find_twin(session: Session, row: Checkpoint) -> Checkpoint | None:
    return find_twin(session, row.name, row.sha256, row.key_id)


def _add(session: Session, settings: Settings, row: Checkpoint, labels: Labels) -> Accepted:
    """Add the row, unless the key or the same bytes under the same name have made one before."""
    twin = _find_twin(session, row)
    wanted = row if twin is None else twin
    if labels.idempotency_key is not None:
        scope = scope_of(SCOPE, row.key_id)
        holder = bind(session, scope, labels.idempotency_key, row.sha256, wanted.id)
        if holder != wanted.id:
            return Accepted(find_checkpoint(session, holder), created=False)
    if twin is not None:
        add_tags(session, twin.id, labels.tags)
        return Accepted(twin, created=False)
    _check_quota(session, settings, row, labels)
    add_checkpoint(session, row)
    set_tags(session, row.id, labels.tags)
    return Accepted(row, created=True)


def _describe(read: ReadUpload, labels: Labels) -> Checkpoint:
    report = read.report
    facts = report.architecture
    return Checkpoint(
        id=new_id("checkpoint"),
        name=labels.name,
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
        key_id=labels.caller.key_id,
    )


def _count(value: object) -> int | None:
    """A whole number that a column can hold: a file may claim any."""
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _dims(value: object) -> str | None:
    text = ",".join(map(str, value)) if isinstance(value, (tuple, list)) else ""
    return text if 0 < len(text) <= LONGEST_DIMS else None
