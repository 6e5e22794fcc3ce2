"""Lists of jobs by network, tier and what was measured; of jobs and checkpoints by a part of the name."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LIVE = sa.text("deleted_at IS NULL")
JOBS = {
    "ix_jobs_hidden_dims_id": ["hidden_dims", "id"],
    "ix_jobs_obs_dim_id": ["obs_dim", "id"],
    "ix_jobs_tier_id": ["tier", "id"],
    "ix_jobs_id_name": ["id", "name"],
}
NAMES = "ix_checkpoints_name_live"
COPY = """
INSERT INTO job_metrics (job_id, name, value)
SELECT finals.job_id, checkpoint_metrics.name, checkpoint_metrics.value
FROM (
  SELECT checkpoints.job_id AS job_id, max(checkpoints.id) AS id
  FROM checkpoints JOIN jobs ON jobs.id = checkpoints.job_id
  WHERE jobs.state = 'succeeded' AND checkpoints.kind = 'final' AND checkpoints.deleted_at IS NULL
  GROUP BY checkpoints.job_id
) AS finals
JOIN checkpoint_metrics ON checkpoint_metrics.checkpoint_id = finals.id
WHERE true
ON CONFLICT DO NOTHING
"""
"""What is known of succeeded jobs: the figures of their final checkpoints that are not deleted. A subquery for each job
would be planned by statistics, which no longer fit in the middle of a chain of migrations: on an analysed SQLite of
100,000 jobs it did not end within minutes. (`WHERE true` is SQLite's way to tell ON CONFLICT from the join's ON.)"""


def upgrade() -> None:
    # Each step bears being done twice: on PostgreSQL they are not one transaction.
    op.create_table(
        "job_metrics",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_metrics_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_job_metrics")),
        if_not_exists=True,
    )
    op.execute(COPY)
    op.create_index("ix_job_metrics_name", "job_metrics", ["name", "job_id", "value"], if_not_exists=True)
    with beside_writers() as concurrently:
        for name, columns in JOBS.items():
            op.drop_index(name, "jobs", if_exists=True)  # what an attempt that was broken off left half built
            op.create_index(name, "jobs", columns, postgresql_concurrently=concurrently)
        op.drop_index(NAMES, "checkpoints", if_exists=True)
        op.create_index(
            NAMES,
            "checkpoints",
            ["id", "name", "deleted_at"],
            sqlite_where=LIVE,
            postgresql_where=LIVE,
            postgresql_concurrently=concurrently,
        )
    for column in ("hidden_dims", "tier"):
        op.drop_index(f"ix_jobs_{column}", "jobs", if_exists=True)


def downgrade() -> None:
    op.create_index("ix_jobs_hidden_dims", "jobs", ["hidden_dims"])
    op.create_index("ix_jobs_tier", "jobs", ["tier"])
    op.drop_index(NAMES, "checkpoints")
    for name in JOBS:
        op.drop_index(name, "jobs")
    op.drop_table("job_metrics")


@contextmanager
def beside_writers() -> Iterator[bool]:
    """Whether indexes are built while others write: PostgreSQL can, outside of a transaction."""
    if op.get_bind().dialect.name != "postgresql":
        yield False
        return
    with op.get_context().autocommit_block():
        yield True
