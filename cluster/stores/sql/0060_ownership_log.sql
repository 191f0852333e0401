-- Who owned a session when: for the time line of takeovers. The newest hundred of each session.

CREATE TABLE ownership_log (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    epoch       bigint NOT NULL,
    -- The owner's node by id, and its name at that time.
    node        text NOT NULL,
    node_name   text NOT NULL DEFAULT '',
    -- `first`, `handover` (the predecessor let go with its very latest store), `start` (it let go),
    -- `takeover` (its lease ended, or it is still held).
    kind        text NOT NULL CHECK (kind IN ('first', 'handover', 'start', 'takeover')),
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, epoch)
);

CREATE INDEX ownership_log_time ON ownership_log (at DESC);

CREATE FUNCTION note_ownership() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ownership_log (session_id, epoch, node, node_name, kind)
    VALUES (NEW.session_id, NEW.epoch, NEW.node,
            coalesce((SELECT name FROM workers WHERE node = NEW.node), ''),
            CASE WHEN OLD.epoch = 0 THEN 'first'
                 WHEN OLD.released AND OLD.clean THEN 'handover'
                 WHEN OLD.released THEN 'start'
                 ELSE 'takeover' END)
    ON CONFLICT DO NOTHING;
    DELETE FROM ownership_log WHERE session_id = NEW.session_id AND epoch <= NEW.epoch - 100;
    RETURN NULL;
END
$$;

CREATE TRIGGER ownership_is_noted AFTER UPDATE OF epoch ON ownership
    FOR EACH ROW WHEN (NEW.epoch <> OLD.epoch) EXECUTE FUNCTION note_ownership();
