"""Files by hash: what names a stored file is found without reading every evaluation."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAMED = (("datasets", "file_sha256"), ("evaluations", "returns_sha256"), ("evaluations", "chart_sha256"))


def upgrade() -> None:
    for table, column in NAMED:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table, column in NAMED:
        op.drop_index(f"ix_{table}_{column}", table)
