-- Starts of sessions with their failures, nodes, and which of them take no sessions.

ALTER TABLE sessions ADD COLUMN working_since timestamptz;

CREATE FUNCTION note_working_since() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.working_since := CASE
        WHEN NEW.status <> 'WORKING' THEN NULL
        ELSE coalesce(OLD.working_since, clock_timestamp())
    END;
    RETURN NEW;
END $$;

CREATE TRIGGER sessions_working_since BEFORE UPDATE OF status ON sessions
    FOR EACH ROW EXECUTE FUNCTION note_working_since();

-- One row per session whose process was started since somebody asked for it.
CREATE TABLE session_starts (
    session_id  bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    -- Starts in a row that ended by themselves before the session had settled.
    failures    integer NOT NULL DEFAULT 0,
    -- A process began and did not say that it ended.
    open        boolean NOT NULL DEFAULT false,
    -- The newest epoch at that time.
    epoch       bigint NOT NULL DEFAULT 0,
    node        text NOT NULL DEFAULT '',
    begun_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    not_before  timestamptz NOT NULL DEFAULT '-infinity',
    -- The drained node that a process found itself on; it does not begin there.
    parked_on   text NOT NULL DEFAULT '',
    error       text NOT NULL DEFAULT ''
);

-- The pace of starts in the whole cluster: the time of the next one (one row).
CREATE TABLE start_pace (
    single      boolean PRIMARY KEY DEFAULT true CHECK (single),
    next_at     timestamptz NOT NULL
);
INSERT INTO start_pace (next_at) VALUES ('-infinity');

ALTER TABLE workers ADD COLUMN name text NOT NULL DEFAULT '';

-- By node name, or by node id where names are not unique.
CREATE TABLE drained_nodes (
    node        text PRIMARY KEY,
    drained_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
