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
    """
    ALTER TABLE ghost
        ADD COLUMN avatar_source text,
        ADD COLUMN avatar_mxc text,
        ADD COLUMN directs text,
        ADD COLUMN ignored text,
        ADD COLUMN erased_at timestamptz
    """,
    "COMMENT ON COLUMN ghost.avatar_source IS 'picture on OpenMeet of which avatar_mxc was made'",
    "COMMENT ON COLUMN ghost.directs IS 'm.direct as it was set, as canonical JSON'",
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
        fetched_at timestamptz NOT NULL DEFAULT now()
    )
    """,
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
    # What OpenMeet is told: written with its cause, delivered at least once.
    """
    CREATE TABLE webhook_event (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant text NOT NULL,
        type text NOT NULL,
        payload bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE webhook_delivery (
        event_id bigint NOT NULL REFERENCES webhook_event ON DELETE CASCADE,
        endpoint text NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        due_at timestamptz NOT NULL DEFAULT now(),
        leased_until timestamptz,
        error text,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed')),
        PRIMARY KEY (event_id, endpoint)
    )
    """,
    "CREATE INDEX webhook_due ON webhook_delivery (due_at) WHERE state = 'pending'",
    """
    CREATE TABLE webhook_mark (
        tenant text PRIMARY KEY,
        position bigint NOT NULL
    )
    """,
    "COMMENT ON COLUMN webhook_mark.position IS 'messages of the log up to here were told'",
]

DOWNGRADE = [
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
    "DROP COLUMN ignored, DROP COLUMN erased_at",
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
