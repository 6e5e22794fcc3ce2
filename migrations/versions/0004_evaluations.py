"""Evaluations: opened test spans, documents, figures by span; walk-forward groups of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("walk_forward", sa.String(length=60), nullable=True))
        batch_op.create_index(batch_op.f("ix_jobs_walk_forward"), ["walk_forward"], unique=False)

    op.create_table(
        "openings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("first_row", sa.BigInteger(), nullable=False),
        sa.Column("stop_row", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_openings_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_openings_dataset_id_datasets")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_openings")),
        sa.UniqueConstraint("job_id", "dataset_id", name=op.f("uq_openings_job_id")),
    )
    with op.batch_alter_table("openings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_openings_dataset_sha256"), ["dataset_sha256"], unique=False)

    op.create_table(
        "evaluations",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=40), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("opening", sa.Integer(), nullable=False),
        sa.Column("deflated_sharpe", sa.Double(), nullable=True),
        sa.Column("beats_holding", sa.Boolean(), nullable=True),
        sa.Column("looks_overfitted", sa.Boolean(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("curves", sa.JSON(), nullable=False),
        sa.Column("returns_sha256", sa.String(length=64), nullable=False),
        sa.Column("chart_sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_evaluations_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_evaluations_dataset_id_datasets")
        ),
        sa.PrimaryKeyConstraint("job_id", "dataset_id", name=op.f("pk_evaluations")),
    )

    op.create_table(
        "evaluation_spans",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=40), nullable=False),
        sa.Column("span", sa.String(length=20), nullable=False),
        sa.Column("first_bar", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_bar", sa.DateTime(timezone=True), nullable=False),
        sa.Column("periods", sa.BigInteger(), nullable=False),
        sa.Column("total_return", sa.Double(), nullable=False),
        sa.Column("cagr", sa.Double(), nullable=True),
        sa.Column("volatility", sa.Double(), nullable=True),
        sa.Column("sharpe", sa.Double(), nullable=True),
        sa.Column("sharpe_low", sa.Double(), nullable=True),
        sa.Column("sharpe_high", sa.Double(), nullable=True),
        sa.Column("sortino", sa.Double(), nullable=True),
        sa.Column("max_drawdown", sa.Double(), nullable=False),
        sa.Column("calmar", sa.Double(), nullable=True),
        sa.Column("turnover", sa.Double(), nullable=False),
        sa.Column("cost_paid", sa.Double(), nullable=False),
        sa.Column("exposure", sa.Double(), nullable=False),
        sa.Column("hit_rate", sa.Double(), nullable=True),
        sa.Column("trades", sa.BigInteger(), nullable=False),
        sa.Column("sharpe_per_bar", sa.Double(), nullable=True),
        sa.Column("excess_per_year", sa.Double(), nullable=False),
        sa.Column("excess_low", sa.Double(), nullable=False),
        sa.Column("excess_high", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "dataset_id"],
            ["evaluations.job_id", "evaluations.dataset_id"],
            name=op.f("fk_evaluation_spans_job_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "dataset_id", "span", name=op.f("pk_evaluation_spans")),
    )


def downgrade() -> None:
    op.drop_table("evaluation_spans")
    op.drop_table("evaluations")
    op.drop_table("openings")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_jobs_walk_forward"))
        batch_op.drop_column("walk_forward")
