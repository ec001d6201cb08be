"""What OpenMeet says, in full; what was done about it; and what OpenMeet is told."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = [
    # Each tenant's directory has a revision. Whoever writes locks the row, so that two feeds
    # never write at once, and every revision is one consistent directory.
    """
    CREATE TABLE directory_head (
        tenant text PRIMARY KEY,
        revision bigint NOT NULL DEFAULT 0,
        suspended boolean NOT NULL DEFAULT false,
        compared_at timestamptz,
        compared_up_to timestamptz,
        comparison_error text
    )
    """,
    "COMMENT ON COLUMN directory_head.suspended IS 'deprovisioned: no feed may fill it again'",
    "COMMENT ON COLUMN directory_head.compared_up_to IS 'newest updatedAt seen in OpenMeet'",
    "INSERT INTO directory_head (tenant, revision) "
    "SELECT DISTINCT tenant, 1 FROM directory_user UNION SELECT DISTINCT tenant, 1 "
    "FROM directory_portal",
    "ALTER TABLE directory_user ADD COLUMN active boolean NOT NULL DEFAULT true",
    """
    ALTER TABLE directory_portal
        ADD COLUMN openmeet_id bigint,
        ADD COLUMN visibility text NOT NULL DEFAULT 'private',
        ADD COLUMN status text,
        ADD COLUMN starts_at timestamptz,
        ADD COLUMN ends_at timestamptz,
        ADD COLUMN "group" text,
        ADD CONSTRAINT directory_portal_openmeet_id UNIQUE (tenant, kind, openmeet_id)
    """,
    "UPDATE directory_portal SET visibility = 'public' WHERE public",
    "ALTER TABLE directory_portal DROP COLUMN public",
    'CREATE INDEX directory_portal_group ON directory_portal (tenant, "group") '
    'WHERE "group" IS NOT NULL',
    """
    ALTER TABLE directory_member
        ADD COLUMN status text NOT NULL DEFAULT 'confirmed',
        ADD COLUMN settled boolean NOT NULL DEFAULT false
    """,
    "COMMENT ON COLUMN directory_member.settled IS 'the room followed this row at least once'",
    """
    CREATE TABLE directory_override (
        tenant text NOT NULL,
        kind text NOT NULL,
        slug text NOT NULL,
        user_slug text NOT NULL,
        inside boolean NOT NULL,
        reason text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant, kind, slug, user_slug)
    )
    """,
    """
    CREATE TABLE directory_block (
        tenant text NOT NULL,
        blocker text NOT NULL,
        blocked text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant, blocker, blocked)
    )
    """,
    "CREATE INDEX directory_block_blocked ON directory_block (tenant, blocked)",
    # An alias that a portal had before its slug changed still leads to its room.
    """
    CREATE TABLE former_alias (
        alias text PRIMARY KEY,
        tenant text NOT NULL,
        kind text NOT NULL,
        slug text NOT NULL
    )
    """,
    "CREATE INDEX former_alias_portal ON former_alias (tenant, kind, slug)",
    # What was set, to be told from what somebody else has set since.
    """
    ALTER TABLE portal
        ADD COLUMN applied jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN listed boolean NOT NULL DEFAULT false,
        ADD COLUMN problem text,
        ADD COLUMN announced boolean NOT NULL DEFAULT false
    """,
    "COMMENT ON COLUMN portal.applied IS 'what of the directory the room was last given'",
    "COMMENT ON COLUMN portal.problem IS 'what could not be done and does not stop the rest'",
    "COMMENT ON COLUMN portal.announced IS 'OpenMeet was told that the room is ready'",
    # More of a room's state is kept than before; what the log has of it is added.
    """
    INSERT INTO room_state (room_id, type, state_key, sender, sort_key, content)
    SELECT DISTINCT ON (room_id, type, state_key)
           room_id, type, state_key, sender, sort_key, content
    FROM log WHERE type IN ('m.room.create', 'm.room.guest_access') AND state_key IS NOT NULL
    ORDER BY room_id, type, state_key, sort_key DESC
    ON CONFLICT DO NOTHING
    """,
    """
    CREATE TABLE former_room (
        room_id text PRIMARY KEY,
        tenant text NOT NULL,
        kind text NOT NULL,
        slug text NOT NULL,
        reason text NOT NULL CHECK (reason IN ('closed', 'upgraded', 'merged')),
        successor text,
        at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # Out at once, whatever the homeserver knows yet: no read, no stream, no send.
    "ALTER TABLE room_member ADD COLUMN barred boolean NOT NULL DEFAULT false",
    """
    CREATE TABLE space (
        tenant text NOT NULL,
        "group" text NOT NULL,
        room_id text NOT NULL UNIQUE,
        listed boolean NOT NULL DEFAULT false,
        PRIMARY KEY (tenant, "group")
    )
    """,
    "COMMENT ON COLUMN space.group IS 'slug of the group; empty: the space of the whole tenant'",
    "CREATE INDEX room_state_parent ON room_state (state_key) WHERE type = 'm.space.parent'",
    "CREATE INDEX room_state_tombstone ON room_state (room_id) WHERE type = 'm.room.tombstone'",
    """
    ALTER TABLE ghost
        ADD COLUMN avatar_source text,
        ADD COLUMN avatar_mxc text,
        ADD COLUMN directs text,
        ADD COLUMN ignored text,
        ADD COLUMN openmeet_id bigint,
        ADD COLUMN claimed_mxid text,
        ADD COLUMN erased_at timestamptz
    """,
    "COMMENT ON COLUMN ghost.avatar_source IS 'picture on OpenMeet of which avatar_mxc was made'",
    "COMMENT ON COLUMN ghost.directs IS 'm.direct as it was set, as canonical JSON'",
    "UPDATE ghost SET openmeet_id = u.openmeet_id FROM directory_user AS u "
    "WHERE u.tenant = ghost.tenant AND u.slug = ghost.slug",
    "COMMENT ON COLUMN ghost.openmeet_id IS 'tells who has a slug again from who has it now'",
    "COMMENT ON COLUMN ghost.claimed_mxid IS 'OpenMeet has this one, which cannot be the ghost'",
    "COMMENT ON COLUMN ghost.ignored IS 'm.ignored_user_list as it was set, as canonical JSON'",
    """
    CREATE TABLE picture (
        digest text PRIMARY KEY,
        mxc text NOT NULL,
        bytes integer NOT NULL,
        uploaded_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE picture_source (
        url text PRIMARY KEY,
        digest text REFERENCES picture ON DELETE CASCADE,
        etag text,
        problem text,
        looked_at timestamptz NOT NULL DEFAULT now(),
        look_again_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX picture_source_digest ON picture_source (digest)",
    """
    CREATE TABLE erasure (
        tenant text NOT NULL,
        slug text NOT NULL,
        mxid text NOT NULL,
        requested_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        report jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant, slug)
    )
    """,
    """
    ALTER TABLE job
        ADD COLUMN priority smallint NOT NULL DEFAULT 0,
        ADD COLUMN wanted_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN settled_at timestamptz,
        ADD COLUMN took_ms integer
    """,
    "COMMENT ON COLUMN job.priority IS 'higher waits longer: 0 by hand, 1 in bulk'",
    "DROP INDEX job_due",
    "CREATE INDEX job_due ON job (priority, due_at) WHERE wanted > done AND NOT permanent",
    # Looked through by the housekeeping.
    "CREATE INDEX log_unclaimed ON log (position) WHERE tenant IS NULL",
    # What OpenMeet is told: written with its cause, delivered at least once.
    """
    CREATE TABLE webhook_event (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        uid uuid NOT NULL DEFAULT gen_random_uuid(),
        tenant text NOT NULL,
        type text NOT NULL,
        payload bytea,
        message text UNIQUE,
        spread boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now(),
        CHECK ((payload IS NULL) <> (message IS NULL))
    )
    """,
    "COMMENT ON COLUMN webhook_event.message IS 'entry of the log that is told: never its text'",
    "COMMENT ON COLUMN webhook_event.spread IS 'the deliveries to endpoints are written'",
    "CREATE INDEX webhook_event_new ON webhook_event (id) WHERE NOT spread",
    "CREATE INDEX webhook_event_created ON webhook_event (created_at)",
    """
    CREATE TABLE webhook_delivery (
        event_id bigint NOT NULL REFERENCES webhook_event ON DELETE CASCADE,
        tenant text NOT NULL,
        endpoint text NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        due_at timestamptz NOT NULL DEFAULT now(),
        error text,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed')),
        settled_at timestamptz,
        PRIMARY KEY (event_id, endpoint)
    )
    """,
    "CREATE INDEX webhook_due ON webhook_delivery (tenant, endpoint, due_at, event_id) "
    "WHERE state = 'pending'",
    "CREATE INDEX webhook_settled ON webhook_delivery (state, settled_at) WHERE state <> 'pending'",
    """
    CREATE TABLE webhook_mark (
        tenant text PRIMARY KEY,
        position bigint NOT NULL
    )
    """,
    "COMMENT ON COLUMN webhook_mark.position IS 'messages of the log up to here were told'",
]

DOWNGRADE = [
    "DROP INDEX log_unclaimed",
    "DROP TABLE webhook_mark",
    "DROP TABLE webhook_delivery",
    "DROP TABLE webhook_event",
    "DROP INDEX job_due",
    "CREATE INDEX job_due ON job (due_at) WHERE wanted > done AND NOT permanent",
    "ALTER TABLE job DROP COLUMN priority, DROP COLUMN wanted_at, DROP COLUMN settled_at, "
    "DROP COLUMN took_ms",
    "DROP TABLE erasure",
    "DROP TABLE picture_source",
    "DROP TABLE picture",
    "ALTER TABLE ghost DROP COLUMN avatar_source, DROP COLUMN avatar_mxc, DROP COLUMN directs, "
    "DROP COLUMN ignored, DROP COLUMN openmeet_id, DROP COLUMN claimed_mxid, "
    "DROP COLUMN erased_at",
    "DROP INDEX room_state_parent",
    "DROP INDEX room_state_tombstone",
    "DROP TABLE space",
    "ALTER TABLE room_member DROP COLUMN barred",
    "DROP TABLE former_room",
    "ALTER TABLE portal DROP COLUMN applied, DROP COLUMN listed, DROP COLUMN problem, "
    "DROP COLUMN announced",
    "DROP TABLE former_alias",
    "DROP TABLE directory_block",
    "DROP TABLE directory_override",
    "ALTER TABLE directory_member DROP COLUMN status, DROP COLUMN settled",
    "ALTER TABLE directory_portal ADD COLUMN public boolean NOT NULL DEFAULT false",
    "UPDATE directory_portal SET public = true WHERE visibility = 'public'",
    "ALTER TABLE directory_portal DROP COLUMN openmeet_id, DROP COLUMN visibility, "
    'DROP COLUMN status, DROP COLUMN starts_at, DROP COLUMN ends_at, DROP COLUMN "group"',
    "ALTER TABLE directory_user DROP COLUMN active",
    "DROP TABLE directory_head",
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
