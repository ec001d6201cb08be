"""Signing out: which of a user's tokens are refused, though they have not expired."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE directory_user ADD COLUMN signed_out_at timestamptz")
    op.execute(
        "COMMENT ON COLUMN directory_user.signed_out_at IS "
        "'tokens that were issued until then are refused'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE directory_user DROP COLUMN signed_out_at")
