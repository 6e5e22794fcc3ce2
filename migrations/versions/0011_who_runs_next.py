"""Who runs next: priorities, shares of keys, limits of time, versions of plans, workers that drain.

Everything is added, nothing changed: the release before goes on working on these tables (docs/deployment.md).
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def added() -> list[tuple[str, sa.Column]]:
    """Tables and their new columns, made anew: a column belongs to one table of one run."""
    return [
        ("jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0")),
        ("jobs", sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True)),
        ("jobs", sa.Column("plan_version", sa.Integer(), nullable=False, server_default="1")),
        ("jobs", sa.Column("max_seconds", sa.Double(), nullable=True)),
        ("jobs", sa.Column("used_seconds", sa.Double(), nullable=False, server_default="0")),
        ("attempts", sa.Column("claimed_at", sa.Double(), nullable=True)),
        ("attempts", sa.Column("deadline_at", sa.Double(), nullable=True)),
        ("workers", sa.Column("queues", sa.JSON(), nullable=True)),
        ("workers", sa.Column("protocol", sa.Integer(), nullable=False, server_default="1")),
        ("workers", sa.Column("plan_version", sa.Integer(), nullable=False, server_default="1")),
        ("workers", sa.Column("drain", sa.String(length=10), nullable=True)),
        ("workers", sa.Column("left_at", sa.Double(), nullable=True)),
    ]


def upgrade() -> None:
    for table, column in added():
        op.add_column(table, column)
    op.create_index("ix_jobs_state_queue", "jobs", ["state", "queue"])
    op.create_index("ix_jobs_priority_id", "jobs", ["priority", "id"])
    op.create_table(
        "shares",
        sa.Column("queue", sa.String(length=60), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("used", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "key", name=op.f("pk_shares")),
    )


def downgrade() -> None:
    op.drop_table("shares")
    op.drop_index("ix_jobs_priority_id", "jobs")
    op.drop_index("ix_jobs_state_queue", "jobs")
    for table, column in reversed(added()):
        op.drop_column(table, column.name)
