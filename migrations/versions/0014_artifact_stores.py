"""Artifact stores: by its mark a registry knows the storage that its files lie in."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifact_stores",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mark", sa.String(length=60), nullable=False),
        sa.Column("address", sa.String(length=1000), nullable=False),
        sa.Column("is_marked", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact_stores")),
    )


def downgrade() -> None:
    op.drop_table("artifact_stores")
