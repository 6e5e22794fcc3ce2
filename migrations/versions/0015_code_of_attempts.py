"""What ran each attempt: versions, and the commit of Caliper's source."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("versions", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "versions")
