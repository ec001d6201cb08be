"""Every place that an entry has ever had in the log, written down by the database itself."""

from __future__ import annotations

WATCH = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.version (
    position bigint NOT NULL,
    event_id text NOT NULL,
    room_id text NOT NULL,
    sort_key bigint NOT NULL,
    state_key text,
    effect smallint NOT NULL,
    line boolean NOT NULL,
    about text,
    PRIMARY KEY (position, event_id, effect)
);
CREATE FUNCTION chaos.watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.version
    VALUES (NEW.position, NEW.event_id, NEW.room_id, NEW.sort_key, NEW.state_key, NEW.effect,
            NEW.line, NEW.about)
    ON CONFLICT (position, event_id, effect) DO UPDATE
    SET sort_key = EXCLUDED.sort_key;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_watch AFTER INSERT OR UPDATE OF position, sort_key, effect ON log
    FOR EACH ROW
    -- Entries that change places go aside first, below everything.
    WHEN (NEW.sort_key > -(1::bigint << 60)) EXECUTE FUNCTION chaos.watch();
"""
"""Makes the table and the trigger. What the log loses by its own mistake, this keeps."""
