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
    # Who may read what: most rooms are open from end to end, and nothing need be looked up.
    "ALTER TABLE portal ADD COLUMN open boolean NOT NULL DEFAULT false",
    "COMMENT ON COLUMN portal.open IS 'who is in may read all that the log has of the room'",
    """
    UPDATE portal SET open = true
    WHERE EXISTS (SELECT FROM log WHERE log.room_id = portal.room_id AND type = 'm.room.create'
                  AND state_key = '')
          AND NOT EXISTS (
              SELECT FROM log WHERE log.room_id = portal.room_id
                  AND type = 'm.room.history_visibility' AND state_key = ''
                  AND encode(content, 'escape') !~
                      '^ *{ *"history_visibility" *: *"(shared|world_readable)" *} *$'
          )
    """,
    """
    CREATE TABLE history (
        room_id text PRIMARY KEY,
        token text,
        visibility text,
        began bigint NOT NULL DEFAULT 0,
        complete boolean NOT NULL DEFAULT false
    )
    """,
    "COMMENT ON TABLE history IS 'rooms whose beginning the log lacks: how far back it was asked'",
    "COMMENT ON COLUMN history.token IS 'where the homeserver goes on, further back'",
    "COMMENT ON COLUMN history.visibility IS 'what held before the oldest that the log has'",
    "COMMENT ON COLUMN history.began IS 'sort key from which on the log had the room by itself'",
    "COMMENT ON COLUMN history.complete IS 'the homeserver has no more for us'",
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
    # A room list asks for all marks of one person.
    "CREATE INDEX read_mark_person ON read_mark (mxid, room_id)",
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
    # Who has said something has read what stands above it.
    """
    INSERT INTO read_mark (room_id, mxid, event_id, sort_key, timestamp,
                           shown_event_id, shown_sort_key, shown_timestamp)
    SELECT room_id, sender, event_id, sort_key, timestamp, event_id, sort_key, timestamp
    FROM (
        SELECT DISTINCT ON (room_id, sender) room_id, sender, event_id, sort_key, timestamp
        FROM log WHERE counted ORDER BY room_id, sender, sort_key DESC
    ) AS said
    ON CONFLICT (room_id, mxid) DO UPDATE SET
        event_id = excluded.event_id, sort_key = excluded.sort_key,
        timestamp = excluded.timestamp, shown_event_id = excluded.event_id,
        shown_sort_key = excluded.sort_key, shown_timestamp = excluded.timestamp
    WHERE excluded.sort_key > read_mark.sort_key
    """,
    # What a list of rooms shows of each, whoever looks at it.
    "CREATE INDEX room_member_barred ON room_member (room_id) WHERE barred",
    "ALTER TABLE room_member ADD COLUMN since_key bigint NOT NULL DEFAULT 0",
    "COMMENT ON COLUMN room_member.since_key IS 'sort key at which the present membership began'",
    """
    UPDATE room_member SET since_key = coalesce(
        (SELECT log.sort_key FROM log WHERE log.position = room_member.since), sort_key)
    """,
    """
    CREATE TABLE room_summary (
        room_id text PRIMARY KEY,
        members integer NOT NULL DEFAULT 0,
        recent bigint[] NOT NULL DEFAULT '{}',
        last_position bigint
    )
    """,
    "COMMENT ON COLUMN room_summary.members IS 'who is in, those who are barred too, the bot not'",
    "COMMENT ON COLUMN room_summary.recent IS 'sort keys of the last 100 messages, rising'",
    "COMMENT ON COLUMN room_summary.last_position IS 'where the last message is in the log'",
    """
    INSERT INTO room_summary (room_id, members, recent, last_position)
    SELECT room_id,
           (SELECT count(*) FROM room_member
            WHERE room_member.room_id = known.room_id AND membership = 'join'
                  AND room_member.mxid <> coalesce((
                      SELECT sender FROM room_state
                      WHERE room_state.room_id = known.room_id AND type = 'm.room.create'
                            AND state_key = ''), '')),
           coalesce((SELECT array_agg(sort_key ORDER BY sort_key) FROM (
               SELECT sort_key FROM log
               WHERE log.room_id = known.room_id AND counted ORDER BY sort_key DESC LIMIT 100
           ) AS newest), '{}'),
           (SELECT position FROM log
            WHERE log.room_id = known.room_id AND counted ORDER BY sort_key DESC LIMIT 1)
    FROM (SELECT DISTINCT room_id FROM log) AS known
    """,
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
        ADD COLUMN action text NOT NULL DEFAULT 'send'
            CHECK (action IN ('send', 'edit', 'react', 'unreact', 'delete')),
        ADD COLUMN about text,
        ADD COLUMN key text,
        ADD COLUMN target text,
        ADD COLUMN target_row bigint REFERENCES outbox (id) ON DELETE SET NULL,
        ADD COLUMN failed_at timestamptz
    """,
    "COMMENT ON COLUMN outbox.about IS 'the entry that is edited, deleted, or reacted to'",
    "COMMENT ON COLUMN outbox.key IS 'of a reaction: what it says'",
    "COMMENT ON COLUMN outbox.target IS 'the event that a redaction blanks'",
    "COMMENT ON COLUMN outbox.target_row IS 'the row whose event a redaction blanks, once sent'",
    "CREATE INDEX outbox_target_row ON outbox (target_row) WHERE target_row IS NOT NULL",
    "CREATE INDEX outbox_about ON outbox (about, sender) WHERE about IS NOT NULL",
    "CREATE INDEX outbox_event ON outbox (event_id) WHERE event_id IS NOT NULL",
    "UPDATE outbox SET failed_at = now() WHERE state = 'failed'",
    "CREATE INDEX outbox_failed ON outbox (failed_at) WHERE state = 'failed'",
]

DOWNGRADE = [
    "DELETE FROM outbox WHERE action <> 'send'",
    "DROP INDEX outbox_failed",
    "DROP INDEX outbox_event",
    "ALTER TABLE outbox DROP COLUMN action, DROP COLUMN about, DROP COLUMN key, "
    "DROP COLUMN target, DROP COLUMN target_row, DROP COLUMN failed_at",
    "DROP TABLE presence",
    "DROP TABLE preference",
    "DROP TABLE room_summary",
    "DROP INDEX room_member_barred",
    "ALTER TABLE room_member DROP COLUMN since_key",
    "DROP TABLE unread_flag",
    "DROP INDEX read_mark_person",
    "ALTER TABLE read_mark DROP COLUMN shown_event_id, DROP COLUMN shown_sort_key, "
    "DROP COLUMN shown_timestamp",
    "DROP TABLE mention",
    "DROP TABLE history",
    "ALTER TABLE portal DROP COLUMN open",
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
    # What a deleted message came to say is kept as little as what it said.
    run(
        sa.text(
            "UPDATE log SET content = convert_to('{}', 'UTF8') FROM relation JOIN log AS target "
            "ON target.event_id = relation.target AND target.room_id = relation.room_id "
            "WHERE relation.kind = 'edit' AND target.redacted_by IS NOT NULL "
            "AND log.event_id = relation.event_id"
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
        found = json.loads(content)
        relation = found.get("m.relates_to")
        target, kind, key = relation.get("event_id"), relation.get("rel_type"), relation.get("key")
        if not _is_name(target):
            return None
        if event_type == "m.reaction":
            fits = kind == "m.annotation" and _is_name(key)
            return ("reaction", target, key) if fits else None
        new = event_type == "m.room.encrypted" or isinstance(found.get("m.new_content"), dict)
        return ("edit", target, None) if kind == "m.replace" and new else None
    except (ValueError, AttributeError, RecursionError):
        return None


def _is_name(text: Any) -> bool:
    return (
        isinstance(text, str)
        and bool(text.strip())
        and "\x00" not in text
        and len(text.encode()) <= 255
    )
