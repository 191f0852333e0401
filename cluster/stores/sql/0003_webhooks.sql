-- Webhooks: who gets which events, how far each is, what was delivered and what could not be.

CREATE INDEX events_status ON events (session_id, seq) WHERE type = 'session.status';

-- Endpoints of the gateway's own settings: of every session.
CREATE TABLE global_webhooks (
    url     text PRIMARY KEY,
    -- WAHA's WebhookConfig.
    config  jsonb NOT NULL
);

-- One row per endpoint and session: its place in the session's events, and its lease.
CREATE TABLE webhooks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    -- Names the endpoint within the session, by its URL.
    key         text NOT NULL,
    -- `replay`: delivers events once more, up to `until`, and is removed then.
    origin      text NOT NULL CHECK (origin IN ('session', 'global', 'replay')),
    url         text NOT NULL,
    -- Hash of the URL: sessions with the same endpoint share its circuit breaker.
    target      text NOT NULL,
    config      jsonb NOT NULL,
    -- Seq of the newest event that is dealt with: delivered, dead, or not wanted.
    cursor      bigint NOT NULL,
    until       bigint,
    -- Failed tries of the next event.
    attempts    integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT '-infinity',
    error       text NOT NULL DEFAULT '',
    lease       text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (session_id, key)
) WITH (fillfactor = 50);

CREATE INDEX webhooks_target ON webhooks (target);

CREATE TABLE webhook_breakers (
    target      text PRIMARY KEY,
    -- Failures since the last success.
    failures    integer NOT NULL,
    open_until  timestamptz NOT NULL DEFAULT '-infinity'
);

CREATE TABLE webhook_deliveries (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    key         text NOT NULL,
    seq         bigint NOT NULL,
    event_id    text NOT NULL,
    type        text NOT NULL,
    attempt     integer NOT NULL,
    -- NULL: no answer.
    status      integer,
    error       text NOT NULL,
    took        interval NOT NULL,
    tried_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX webhook_deliveries_session ON webhook_deliveries (session_id, id DESC);
CREATE INDEX webhook_deliveries_time ON webhook_deliveries USING brin (tried_at);

CREATE TABLE webhook_dead_letters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    key         text NOT NULL,
    url         text NOT NULL,
    config      jsonb NOT NULL,
    seq         bigint NOT NULL,
    event_id    text NOT NULL,
    type        text NOT NULL,
    attempts    integer NOT NULL,
    status      integer,
    error       text NOT NULL,
    died_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Set when a replay delivered it after all.
    resolved_at timestamptz,
    UNIQUE (session_id, key, seq)
);

-- Brings the rows of a session in `webhooks` in line with its configuration and the global one.
-- An endpoint keeps its place as long as its URL stays; a new one starts with the next event.
CREATE FUNCTION sync_webhooks(of_session bigint) RETURNS void LANGUAGE sql AS $$
    WITH configured AS (
        SELECT 'session' AS origin, hook->>'url' AS url, hook AS config,
               row_number() OVER (PARTITION BY hook->>'url' ORDER BY place) AS nth
        FROM sessions,
             jsonb_array_elements(CASE jsonb_typeof(config->'webhooks')
                                  WHEN 'array' THEN config->'webhooks' ELSE '[]' END)
             WITH ORDINALITY AS configured(hook, place)
        WHERE id = of_session AND hook->>'url' <> ''
        UNION ALL
        SELECT 'global', url, config, 1 FROM global_webhooks
    ), wanted AS (
        SELECT *, encode(sha256(convert_to(url, 'UTF8')), 'hex') AS target FROM configured
    ), named AS (
        SELECT *, CASE origin WHEN 'global' THEN 'gwh_' ELSE 'wh_' END || left(target, 20)
                  || CASE WHEN nth > 1 THEN '_' || nth ELSE '' END AS key
        FROM wanted
    ), gone AS (
        DELETE FROM webhooks
        WHERE session_id = of_session AND origin <> 'replay' AND key NOT IN (SELECT key FROM named)
    )
    INSERT INTO webhooks (session_id, key, origin, url, target, config, cursor)
    SELECT of_session, key, origin, url, target, config,
           coalesce((SELECT event_seq FROM session_streams WHERE session_id = of_session), 0)
    FROM named
    ON CONFLICT (session_id, key) DO UPDATE SET config = excluded.config
    WHERE webhooks.config IS DISTINCT FROM excluded.config
$$;

CREATE FUNCTION webhooks_follow_config() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sync_webhooks(NEW.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER webhooks_follow_config AFTER INSERT OR UPDATE OF config ON sessions
FOR EACH ROW EXECUTE FUNCTION webhooks_follow_config();

DO $$
BEGIN
    PERFORM sync_webhooks(id) FROM sessions;
END $$;
