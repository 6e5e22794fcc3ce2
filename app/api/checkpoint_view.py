"""How a checkpoint is shown: in lists, and with everything that is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from app.api.parameters import documented_like
from app.api.rows import parse_dims, view_row
from app.checkpoint.report import CheckpointReport
from app.network.shape import DOCUMENTED
from app.registry.checkpoints import checkpoint_datasets, labels_of
from app.registry.database import Session
from app.registry.tables import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointView:
    """A checkpoint in a list."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Identifier; sorts by time of creation."""
    name: str
    """The name it was given."""
    kind: str
    """`uploaded`, or what a training run saved: `periodic`, `final`, …"""
    tags: list[str]
    """Words put on it."""
    aliases: list[str]
    """Names that point to it alone."""
    sha256: str
    """Hash of the file."""
    bytes: int
    """Size of the file."""
    predicted_bytes: int | None
    """What the estimate said before the training began; null for uploads."""
    producer: str
    """Software that wrote it."""
    obs_dim: int | None
    """Length of an observation; null where it is not known."""
    hidden_dims: tuple[int, ...] | None
    """Widths of the trunk's layers; null where they are not known."""
    action_dim: int | None
    """Outputs of the policy; null where it is not known."""
    parameters: int
    """Values of the network's tensors."""
    step: int | None
    """Environment steps that it was trained for."""
    job_id: str | None
    """The job that made it."""
    dataset_id: str | None
    """The dataset that it was trained on, the first of several."""
    dataset_ids: list[str]
    """All datasets that it was trained on; empty for an uploaded file."""
    parent_id: str | None
    """The checkpoint that its training started from."""
    metrics: dict[str, Any]
    """What was measured when it was saved."""
    created_at: datetime
    """When it was registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDetail(CheckpointView):
    """A checkpoint with its report."""

    __pydantic_config__: ClassVar[dict[str, Any]] = documented_like(CheckpointView)

    config: dict[str, Any] | None
    """The training configuration that the file holds."""
    versions: dict[str, Any] | None
    """What wrote the file."""
    report: CheckpointReport | None
    """Everything that is in the file, as POST /checkpoints/inspect answers."""


def view_checkpoints(session: Session, rows: Sequence[Checkpoint]) -> list[CheckpointView]:
    """These checkpoints with their labels."""
    tags, aliases = labels_of(session, [row.id for row in rows])
    datasets = checkpoint_datasets(session, rows)
    return [
        view_row(
            row,
            CheckpointView,
            tags=tags.get(row.id, []),
            aliases=aliases.get(row.id, []),
            dataset_ids=datasets[row.id],
            hidden_dims=parse_dims(row.hidden_dims),
        )
        for row in rows
    ]


def detail_checkpoint(session: Session, row: Checkpoint) -> CheckpointDetail:
    """All that is known of one checkpoint."""
    tags, aliases = labels_of(session, [row.id])
    return view_row(
        row,
        CheckpointDetail,
        tags=tags.get(row.id, []),
        aliases=aliases.get(row.id, []),
        dataset_ids=checkpoint_datasets(session, [row])[row.id],
        hidden_dims=parse_dims(row.hidden_dims),
        report=CheckpointReport.from_plain(row.report) if row.report else None,
    )
