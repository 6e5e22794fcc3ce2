"""Operations: the request that made a job, when a worker last took a message, and what /metrics counts."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("request_id", sa.String(length=64), nullable=True))
    op.create_table(
        "consumptions",
        sa.Column("queue", sa.String(length=60), nullable=False),
        sa.Column("worker_id", sa.String(length=200), nullable=False),
        sa.Column("consumed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "worker_id", name=op.f("pk_consumptions")),
    )
    op.create_index("ix_jobs_state_tier", "jobs", ["state", "tier"])
    op.create_index("ix_attempts_outcome", "attempts", ["outcome"])
    op.create_index(
        "ix_checkpoints_kind_bytes_live",
        "checkpoints",
        ["kind", "bytes"],
        sqlite_where=LIVE,
        postgresql_where=LIVE,
    )


def downgrade() -> None:
    op.drop_index("ix_checkpoints_kind_bytes_live", "checkpoints")
    op.drop_index("ix_attempts_outcome", "attempts")
    op.drop_index("ix_jobs_state_tier", "jobs")
    op.drop_table("consumptions")
    op.drop_column("jobs", "request_id")
