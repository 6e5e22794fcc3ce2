"""API keys, who made what, and the audit of changing requests."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OWNED = ("jobs", "datasets", "checkpoints", "uploads")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=40), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("max_open_jobs", sa.Integer(), nullable=True),
        sa.Column("max_upload_bytes", sa.BigInteger(), nullable=True),
        sa.Column("max_gpu_hours", sa.Double(), nullable=True),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=True),
        sa.Column("address", sa.String(length=60), nullable=True),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("route", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_key_id_id", "audit", ["key_id", "id"])
    op.create_index("ix_audit_target_id", "audit", ["target", "id"])
    # Not in a batch: that would copy the tables on SQLite. No foreign key: keys are revoked, never deleted.
    for table in OWNED:
        op.add_column(table, sa.Column("key_id", sa.String(length=40), nullable=True))
    op.add_column("datasets", sa.Column("bytes", sa.BigInteger(), nullable=True))
    op.create_index("ix_jobs_key_id_state", "jobs", ["key_id", "state"])
    for table in OWNED[1:]:
        op.create_index(f"ix_{table}_key_id", table, ["key_id"])


def downgrade() -> None:
    for table in OWNED[1:]:
        op.drop_index(f"ix_{table}_key_id", table)
    op.drop_index("ix_jobs_key_id_state", "jobs")
    op.drop_column("datasets", "bytes")
    for table in OWNED:
        op.drop_column(table, "key_id")
    op.drop_index("ix_audit_target_id", "audit")
    op.drop_index("ix_audit_key_id_id", "audit")
    op.drop_table("audit")
    op.drop_table("api_keys")
