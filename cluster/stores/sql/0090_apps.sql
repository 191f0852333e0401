-- Apps of sessions: what WAHA calls so.

CREATE TABLE apps (
    tenant      text NOT NULL,
    -- The caller's choice, or made up.
    id          text NOT NULL,
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    -- `mcp`, `chatwoot`
    app         text NOT NULL,
    enabled     boolean NOT NULL,
    config      jsonb NOT NULL,
    -- The key that was made for it; it goes when the app does.
    key_id      text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, id)
);
CREATE INDEX apps_session ON apps (session_id);
-- What a session says there has one place.
CREATE UNIQUE INDEX apps_one_chatwoot ON apps (session_id) WHERE app = 'chatwoot';

CREATE FUNCTION keys_go_with_apps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM api_keys WHERE id = OLD.key_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER keys_go_with_apps AFTER DELETE ON apps
FOR EACH ROW WHEN (OLD.key_id IS NOT NULL) EXECUTE FUNCTION keys_go_with_apps();
