"""What a full registry needs: indexes in the order of lists, metrics of checkpoints as rows, what was tidied."""

import json
import math

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LIVE = sa.text("deleted_at IS NULL")
LISTED_BY = ("hidden_dims", "obs_dim", "producer", "kind", "job_id")
BATCH = 2_000


def upgrade() -> None:
    op.drop_index("ix_checkpoints_hidden_dims", "checkpoints")
    op.drop_index("ix_checkpoints_job_id", "checkpoints")
    _make_live("live", "id")
    for column in LISTED_BY:
        _make_live(f"{column}_live", column, "id")
    _widen("tags", "ix_tags_tag", ["tag", "checkpoint_id"])
    _widen("job_datasets", "ix_job_datasets_dataset_id", ["dataset_id", "job_id"], unique=True)
    op.create_table(
        "checkpoint_metrics",
        sa.Column("checkpoint_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoints.id"],
            name=op.f("fk_checkpoint_metrics_checkpoint_id_checkpoints"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("checkpoint_id", "name", name=op.f("pk_checkpoint_metrics")),
    )
    _copy_metrics()
    op.create_index("ix_checkpoint_metrics_name", "checkpoint_metrics", ["name", "checkpoint_id", "value"])
    # Not in a batch: that would copy the table on SQLite, and these add to it in place.
    op.add_column("jobs", sa.Column("tidied", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_jobs_state_id", "jobs", ["state", "id"])
    op.create_index("ix_jobs_tidied_ended_at", "jobs", ["tidied", "ended_at"])


def downgrade() -> None:
    op.drop_index("ix_jobs_tidied_ended_at", "jobs")
    op.drop_index("ix_jobs_state_id", "jobs")
    op.drop_column("jobs", "tidied")
    op.drop_table("checkpoint_metrics")
    _widen("job_datasets", "ix_job_datasets_dataset_id", ["dataset_id"])
    _widen("tags", "ix_tags_tag", ["tag"])
    for name in ("live", *(f"{column}_live" for column in LISTED_BY)):
        op.drop_index(f"ix_checkpoints_{name}", "checkpoints")
    op.create_index("ix_checkpoints_hidden_dims", "checkpoints", ["hidden_dims"])
    op.create_index("ix_checkpoints_job_id", "checkpoints", ["job_id"])


def _make_live(name: str, *columns: str) -> None:
    op.create_index(
        f"ix_checkpoints_{name}", "checkpoints", [*columns], sqlite_where=LIVE, postgresql_where=LIVE
    )


def _widen(table: str, index: str, columns: list[str], *, unique: bool = False) -> None:
    op.drop_index(index, table)
    op.create_index(index, table, columns, unique=unique)


def _copy_metrics() -> None:
    """Number by number, from the documents of the checkpoints that are not deleted."""
    connection = op.get_bind()
    rows = sa.table("checkpoint_metrics", *(sa.column(name) for name in ("checkpoint_id", "name", "value")))
    page = sa.text(
        "SELECT id, metrics FROM checkpoints WHERE deleted_at IS NULL AND id > :after ORDER BY id LIMIT :most"
    )
    after = ""
    while found := connection.execute(page, {"after": after, "most": BATCH}).all():
        after = found[-1][0]
        copied = [
            {"checkpoint_id": row_id, "name": name, "value": value}
            for row_id, document in found
            for name, value in _numbers(json.loads(document) if isinstance(document, str) else document)
        ]
        if copied:
            connection.execute(sa.insert(rows), copied)


def _numbers(document: object, path: str = "") -> list[tuple[str, float]]:
    if isinstance(document, dict):
        inner = [_numbers(value, f"{path}.{name}" if path else str(name)) for name, value in document.items()]
        return list({name: value for each in inner for name, value in each if len(name) <= 200}.items())
    if isinstance(document, bool) or not isinstance(document, int | float) or not path:
        return []
    return [(path, float(document))] if math.isfinite(document) else []
