"""Many workers: who of them is there, what belongs to one of them, and whose turn a room is."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = [
    """
    CREATE TABLE worker (
        id text PRIMARY KEY,
        host text NOT NULL,
        pid integer NOT NULL,
        started_at timestamptz NOT NULL DEFAULT now(),
        until timestamptz NOT NULL,
        position bigint NOT NULL DEFAULT 0
    )
    """,
    "COMMENT ON TABLE worker IS 'processes that serve; who has not renewed in time is deleted'",
    "COMMENT ON COLUMN worker.position IS 'up to where in the log its streams have been given all'",
    """
    CREATE TABLE duty (
        name text PRIMARY KEY,
        worker text NOT NULL REFERENCES worker (id) ON DELETE CASCADE,
        since timestamptz NOT NULL DEFAULT now()
    )
    """,
    "COMMENT ON TABLE duty IS 'work that belongs to one worker for as long as that is there'",
    "CREATE INDEX duty_worker ON duty (worker)",
    # No foreign key: it would lock the worker's row with every message.
    """
    CREATE TABLE room_turn (
        room_id text PRIMARY KEY,
        worker text NOT NULL,
        called boolean NOT NULL DEFAULT false
    )
    """,
    "COMMENT ON TABLE room_turn IS 'who sends what waits for a room; nobody, if it has no worker'",
    "COMMENT ON COLUMN room_turn.called IS 'another worker has something for the room'",
]

DOWNGRADE = [
    "DROP TABLE room_turn",
    "DROP TABLE duty",
    "DROP TABLE worker",
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
