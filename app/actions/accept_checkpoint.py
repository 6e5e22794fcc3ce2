"""Take an uploaded checkpoint: inspect it, keep it under its hash, register it."""

from collections.abc import Sequence
from typing import BinaryIO

from app.actions.inspect_upload import ReadUpload, read_upload
from app.actions.label_checkpoint import check_labels
from app.registry.checkpoints import add_checkpoint, find_checkpoint, set_tags
from app.registry.database import Database, new_id
from app.registry.idempotency import bind
from app.registry.tables import Checkpoint
from app.settings import Settings
from app.storage import Storage

SCOPE = "checkpoints"


def accept_checkpoint(  # noqa: PLR0913 - the service's three parts come first
    database: Database,
    storage: Storage,
    settings: Settings,
    upload: BinaryIO,
    *,
    name: str,
    tags: Sequence[str] = (),
    idempotency_key: str | None = None,
) -> Checkpoint:
    """Register an upload, findings included: a hostile file is kept as evidence, never run.

    Raises UnreadableCheckpoint, LimitExceeded, InvalidInput (a tag), IdempotencyMismatch.
    """
    check_labels("tags", tags)
    with read_upload(storage, settings, upload, name=name) as read:
        row = _describe(read, name)
        storage.adopt(read.path, read.stored)
    with database.write() as session:
        if idempotency_key is not None:
            holder = bind(session, SCOPE, idempotency_key, read.stored.sha256, row.id)
            if holder != row.id:
                return find_checkpoint(session, holder)
        add_checkpoint(session, row)
        set_tags(session, row.id, tags)
        return row


def _describe(read: ReadUpload, name: str) -> Checkpoint:
    report = read.report
    facts = report.architecture
    dims = facts.hidden_dims.value
    return Checkpoint(
        id=new_id("checkpoint"),
        name=name,
        kind="uploaded",
        sha256=read.stored.sha256,
        bytes=read.stored.bytes,
        producer=report.producer,
        obs_dim=facts.obs_dim.value,
        hidden_dims=",".join(map(str, dims)) if isinstance(dims, tuple) else None,
        action_dim=facts.action_dim.value,
        parameters=report.parameters,
        config=report.config if isinstance(report.config, dict) else None,
        versions=report.versions if isinstance(report.versions, dict) else None,
        metrics={},
        report=report.plain(),
    )
