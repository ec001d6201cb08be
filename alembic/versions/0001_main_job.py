"""The log, the projections made from it, the directory, the outbox and the jobs."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = [
    # One row: the end of the log. Appending locks it, so that commits happen in the order of
    # positions and no reader can ever pass an entry that is not committed yet.
    """
    CREATE TABLE log_head (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        position bigint NOT NULL,
        epoch text NOT NULL
    )
    """,
    """
    INSERT INTO log_head (position, epoch)
    VALUES (0, substr(md5(gen_random_uuid()::text), 1, 8))
    """,
    """
    CREATE TABLE log (
        position bigint PRIMARY KEY,
        event_id text NOT NULL UNIQUE,
        room_id text NOT NULL,
        tenant text,
        sort_key bigint NOT NULL,
        type text NOT NULL,
        sender text NOT NULL,
        state_key text,
        timestamp bigint NOT NULL,
        content bytea NOT NULL,
        client_txn_id text,
        counted boolean NOT NULL,
        effect smallint NOT NULL DEFAULT 0,
        redacted_by text,
        source text NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "COMMENT ON COLUMN log.tenant IS 'null: a room that belongs to no portal'",
    "COMMENT ON COLUMN log.sort_key IS 'place in the timeline of the room'",
    "COMMENT ON COLUMN log.effect IS '1: somebody came in, -1: somebody went out'",
    "COMMENT ON COLUMN log.source IS 'push: by transaction; repair: found missing later'",
    "CREATE UNIQUE INDEX log_timeline ON log (room_id, sort_key)",
    "CREATE INDEX log_room ON log (room_id, position)",
    "CREATE INDEX log_unread ON log (room_id, sort_key) WHERE counted",
    "CREATE INDEX log_state ON log (room_id, type, state_key, sort_key) "
    "WHERE state_key IS NOT NULL",
    "CREATE INDEX log_effect ON log (state_key, position) WHERE effect <> 0",
    "CREATE INDEX log_sent ON log (sender, client_txn_id) WHERE client_txn_id IS NOT NULL",
    """
    CREATE TABLE pending_redaction (
        room_id text NOT NULL,
        target text NOT NULL,
        redaction text NOT NULL,
        PRIMARY KEY (room_id, target)
    )
    """,
    """
    CREATE TABLE quarantine (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        txn_id text NOT NULL,
        reason text NOT NULL,
        raw bytea NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # By digest: what is set aside may be larger than an index entry can be.
    "CREATE UNIQUE INDEX quarantine_once ON quarantine (txn_id, md5(raw))",
    """
    CREATE TABLE portal (
        room_id text PRIMARY KEY,
        tenant text NOT NULL,
        kind text NOT NULL,
        slug text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (tenant, kind, slug)
    )
    """,
    """
    CREATE TABLE room_member (
        room_id text NOT NULL,
        mxid text NOT NULL,
        membership text NOT NULL,
        name text,
        avatar_url text,
        since bigint NOT NULL,
        sort_key bigint NOT NULL,
        PRIMARY KEY (room_id, mxid)
    )
    """,
    "COMMENT ON COLUMN room_member.since IS 'position at which the present membership began'",
    "CREATE INDEX room_member_joined ON room_member (mxid) WHERE membership = 'join'",
    """
    CREATE TABLE room_state (
        room_id text NOT NULL,
        type text NOT NULL,
        state_key text NOT NULL,
        sender text NOT NULL,
        sort_key bigint NOT NULL,
        content bytea NOT NULL,
        PRIMARY KEY (room_id, type, state_key)
    )
    """,
    """
    CREATE TABLE read_mark (
        room_id text NOT NULL,
        mxid text NOT NULL,
        event_id text NOT NULL,
        sort_key bigint NOT NULL,
        timestamp bigint NOT NULL,
        PRIMARY KEY (room_id, mxid)
    )
    """,
    """
    CREATE TABLE directory_user (
        tenant text NOT NULL,
        slug text NOT NULL,
        openmeet_id bigint,
        name text NOT NULL,
        avatar_url text,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant, slug),
        UNIQUE (tenant, openmeet_id)
    )
    """,
    """
    CREATE TABLE directory_portal (
        tenant text NOT NULL,
        kind text NOT NULL,
        slug text NOT NULL,
        alias text NOT NULL UNIQUE,
        name text NOT NULL,
        topic text NOT NULL,
        avatar_url text,
        url text,
        public boolean NOT NULL DEFAULT false,
        deleted boolean NOT NULL DEFAULT false,
        reborn boolean NOT NULL DEFAULT false,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant, kind, slug)
    )
    """,
    "COMMENT ON COLUMN directory_portal.reborn IS 'made again before the old room was closed'",
    """
    CREATE TABLE directory_member (
        tenant text NOT NULL,
        kind text NOT NULL,
        slug text NOT NULL,
        user_slug text NOT NULL,
        role text NOT NULL,
        PRIMARY KEY (tenant, kind, slug, user_slug)
    )
    """,
    "CREATE INDEX directory_member_user ON directory_member (tenant, user_slug)",
    """
    CREATE TABLE ghost (
        mxid text PRIMARY KEY,
        tenant text NOT NULL,
        slug text NOT NULL,
        registered boolean NOT NULL DEFAULT false,
        device boolean NOT NULL DEFAULT false,
        name text,
        UNIQUE (tenant, slug)
    )
    """,
    "COMMENT ON COLUMN ghost.name IS 'display name that was set on the homeserver'",
    """
    CREATE TABLE job (
        tenant text NOT NULL,
        kind text NOT NULL,
        slug text NOT NULL,
        wanted bigint NOT NULL DEFAULT 1,
        done bigint NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        error text,
        permanent boolean NOT NULL DEFAULT false,
        due_at timestamptz NOT NULL DEFAULT now(),
        leased_until timestamptz,
        PRIMARY KEY (tenant, kind, slug)
    )
    """,
    "CREATE INDEX job_due ON job (due_at) WHERE wanted > done AND NOT permanent",
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant text NOT NULL,
        user_slug text NOT NULL,
        client_txn_id text NOT NULL,
        room_id text NOT NULL,
        sender text NOT NULL,
        content bytea NOT NULL,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
        event_id text,
        errcode text,
        error text,
        attempts integer NOT NULL DEFAULT 0,
        first_attempt_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        sent_at timestamptz,
        UNIQUE (tenant, user_slug, client_txn_id)
    )
    """,
    "CREATE INDEX outbox_pending ON outbox (room_id, id) WHERE state = 'pending'",
    "CREATE INDEX outbox_sender ON outbox (sender, client_txn_id)",
    "CREATE INDEX outbox_sent ON outbox (sent_at) WHERE state = 'sent'",
    """
    CREATE TABLE stream_ticket (
        digest bytea PRIMARY KEY,
        tenant text NOT NULL,
        user_slug text NOT NULL,
        token_expires_at bigint NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE repair_mark (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        since text NOT NULL,
        at timestamptz NOT NULL DEFAULT now()
    )
    """,
]

TABLES = [
    "log_head",
    "log",
    "pending_redaction",
    "quarantine",
    "portal",
    "room_member",
    "room_state",
    "read_mark",
    "directory_user",
    "directory_portal",
    "directory_member",
    "ghost",
    "job",
    "outbox",
    "stream_ticket",
    "repair_mark",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
