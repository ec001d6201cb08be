"""What entries do to one another, mentions, what is read and what is not, and who is there."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UPGRADE = [
    # An entry is a line of its room's timeline, or it changes one, or it is shown nowhere.
    """
    ALTER TABLE log
        ADD COLUMN line boolean NOT NULL DEFAULT true,
        ADD COLUMN about text,
        ADD COLUMN related boolean NOT NULL DEFAULT false,
        ADD COLUMN revision bigint
    """,
    "COMMENT ON COLUMN log.line IS 'a line of the timeline; else it changes one, or is not shown'",
    "COMMENT ON COLUMN log.about IS 'the event whose line this entry changes, known yet or not'",
    "COMMENT ON COLUMN log.related IS 'the table relation has rows whose target this entry is'",
    "COMMENT ON COLUMN log.revision IS 'position of the last entry that changed this line'",
    """
    CREATE TABLE relation (
        event_id text PRIMARY KEY,
        room_id text NOT NULL,
        target text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('edit', 'reaction')),
        key text,
        sender text NOT NULL,
        timestamp bigint NOT NULL,
        redacted boolean NOT NULL DEFAULT false
    )
    """,
    "COMMENT ON COLUMN relation.key IS 'of a reaction: what it says'",
    "CREATE INDEX relation_target ON relation (target, kind) WHERE NOT redacted",
    # The timeline and what is unread of it, without what only changes other lines.
    "CREATE INDEX log_lines ON log (room_id, sort_key) WHERE line",
    "CREATE INDEX log_time ON log (room_id, timestamp, sort_key) WHERE line",
    """
    CREATE TABLE mention (
        event_id text NOT NULL,
        mxid text NOT NULL,
        room_id text NOT NULL,
        sort_key bigint NOT NULL,
        PRIMARY KEY (event_id, mxid)
    )
    """,
    "COMMENT ON COLUMN mention.mxid IS 'who is meant; empty: everybody in the room'",
    "CREATE INDEX mention_unread ON mention (room_id, mxid, sort_key)",
    # How far somebody has read is one thing; how far others may know that they have, another.
    """
    ALTER TABLE read_mark
        ADD COLUMN shown_event_id text,
        ADD COLUMN shown_sort_key bigint,
        ADD COLUMN shown_timestamp bigint
    """,
    "COMMENT ON COLUMN read_mark.shown_event_id IS 'how far others know that the room was read'",
    "UPDATE read_mark SET shown_event_id = event_id, shown_sort_key = sort_key, "
    "shown_timestamp = timestamp",
    """
    CREATE TABLE unread_flag (
        room_id text NOT NULL,
        mxid text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (room_id, mxid)
    )
    """,
    "COMMENT ON TABLE unread_flag IS 'rooms that somebody has marked as unread by hand'",
    """
    CREATE TABLE preference (
        tenant text NOT NULL,
        user_slug text NOT NULL,
        presence boolean NOT NULL DEFAULT true,
        receipts boolean NOT NULL DEFAULT true,
        PRIMARY KEY (tenant, user_slug)
    )
    """,
    "COMMENT ON COLUMN preference.presence IS 'others may see whether the user is there'",
    "COMMENT ON COLUMN preference.receipts IS 'others may see how far the user has read'",
    """
    CREATE TABLE presence (
        mxid text PRIMARY KEY,
        state text NOT NULL CHECK (state IN ('online', 'idle', 'offline')),
        last_seen timestamptz NOT NULL
    )
    """,
    # What is sent is an event, a redaction, or a redaction of what is itself on its way.
    """
    ALTER TABLE outbox
        ADD COLUMN type text NOT NULL DEFAULT 'm.room.message',
        ADD COLUMN target text,
        ADD COLUMN target_row bigint REFERENCES outbox (id) ON DELETE SET NULL
    """,
    "COMMENT ON COLUMN outbox.target IS 'the event that a redaction blanks'",
    "COMMENT ON COLUMN outbox.target_row IS 'the message that a redaction blanks, once it is sent'",
    "CREATE INDEX outbox_target_row ON outbox (target_row) WHERE target_row IS NOT NULL",
]

DOWNGRADE = [
    "DELETE FROM outbox WHERE type <> 'm.room.message'",
    "ALTER TABLE outbox DROP COLUMN type, DROP COLUMN target, DROP COLUMN target_row",
    "DROP TABLE presence",
    "DROP TABLE preference",
    "DROP TABLE unread_flag",
    "ALTER TABLE read_mark DROP COLUMN shown_event_id, DROP COLUMN shown_sort_key, "
    "DROP COLUMN shown_timestamp",
    "DROP TABLE mention",
    "DROP TABLE relation",
    "DROP INDEX log_time",
    "DROP INDEX log_lines",
    "ALTER TABLE log DROP COLUMN line, DROP COLUMN about, DROP COLUMN related, "
    "DROP COLUMN revision",
]

_HIDDEN = (
    "m.reaction",
    "m.room.redaction",
    "m.poll.response",
    "org.matrix.msc3381.poll.response",
    "m.call.candidates",
    "m.call.negotiate",
    "m.call.select_answer",
    "m.call.sdp_stream_metadata_changed",
    "org.openmeet.nudge",
    "m.bridge",
    "uk.half-shot.bridge",
    "m.space.child",
    "m.space.parent",
    "m.room.server_acl",
    "m.room.power_levels",
    "m.room.guest_access",
    "m.room.canonical_alias",
    "m.room.aliases",
)
_BATCH = 1000


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)
    _relate()


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)


def _relate() -> None:
    """Find the edits, reactions and redactions among the entries that are there already."""
    run = op.get_bind().execute
    run(sa.text("UPDATE log SET line = false WHERE type = ANY(:hidden)"), {"hidden": list(_HIDDEN)})
    last = -(1 << 62)
    while True:
        rows = run(
            sa.text(
                "SELECT position, event_id, room_id, type, sender, timestamp, content FROM log "
                "WHERE position > :last AND redacted_by IS NULL AND state_key IS NULL "
                "AND position(convert_to('m.relates_to', 'UTF8') IN content) > 0 "
                "ORDER BY position LIMIT :batch"
            ),
            {"last": last, "batch": _BATCH},
        ).all()
        if not rows:
            break
        last = rows[-1].position
        for row in rows:
            found = _relation(row.type, bytes(row.content))
            if found is not None:
                _note(run, row, *found)
    run(
        sa.text(
            "UPDATE log SET about = coalesce(target.about, target.event_id) FROM log AS target "
            "WHERE log.type = 'm.room.redaction' AND target.redacted_by = log.event_id "
            "AND target.room_id = log.room_id"
        )
    )
    run(
        sa.text(
            "UPDATE log SET related = true FROM relation "
            "WHERE relation.target = log.event_id AND relation.room_id = log.room_id"
        )
    )


def _note(run: Any, row: Any, kind: str, target: str, key: str | None) -> None:
    run(
        sa.text("UPDATE log SET line = false, about = :target WHERE position = :position"),
        {"target": target, "position": row.position},
    )
    run(
        sa.text(
            "INSERT INTO relation (event_id, room_id, target, kind, key, sender, timestamp) "
            "VALUES (:event_id, :room_id, :target, :kind, :key, :sender, :timestamp)"
        ),
        {
            "event_id": row.event_id,
            "room_id": row.room_id,
            "target": target,
            "kind": kind,
            "key": key,
            "sender": row.sender,
            "timestamp": row.timestamp,
        },
    )


def _relation(event_type: str, content: bytes) -> tuple[str, str, str | None] | None:
    try:
        relation = json.loads(content).get("m.relates_to")
        target, kind = relation.get("event_id"), relation.get("rel_type")
        if not isinstance(target, str) or "\x00" in target or len(target.encode()) > 255:
            return None
        if kind == "m.replace":
            return "edit", target, None
        key = relation.get("key")
        if event_type != "m.reaction" or kind != "m.annotation" or not isinstance(key, str):
            return None
        return ("reaction", target, key) if "\x00" not in key and key.strip() else None
    except (ValueError, AttributeError):
        return None
