-- Chatwoot: which message there is which message here, and events for apps.

CREATE TABLE chatwoot_messages (
    tenant          text NOT NULL,
    app             text NOT NULL,
    -- Of WhatsApp; what an event makes of its own (a note of a reaction, of an edit) has the
    -- event's id.
    message_id      text NOT NULL,
    chat            text NOT NULL,
    -- Written before Chatwoot is asked: a repeat looks there first.
    conversation_id bigint,
    -- NULL until Chatwoot has answered.
    chatwoot_id     bigint,
    -- Written by an agent in Chatwoot.
    from_agent      boolean NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, app, message_id),
    FOREIGN KEY (tenant, app) REFERENCES apps ON DELETE CASCADE
);
CREATE INDEX chatwoot_messages_there ON chatwoot_messages (tenant, app, chatwoot_id);

-- As in 0003, with the apps that take events.
CREATE OR REPLACE FUNCTION sync_webhooks(of_session bigint) RETURNS void LANGUAGE sql AS $$
    WITH configured AS (
        SELECT 'session' AS origin, hook->>'url' AS url, hook AS config,
               row_number() OVER (PARTITION BY hook->>'url' ORDER BY place) AS nth
        FROM sessions,
             jsonb_array_elements(CASE jsonb_typeof(config->'webhooks')
                                  WHEN 'array' THEN config->'webhooks' ELSE '[]' END)
             WITH ORDINALITY AS configured(hook, place)
        WHERE id = of_session AND hook->>'url' <> ''
        UNION ALL
        SELECT 'session', 'app://chatwoot/' || id,
               jsonb_build_object('url', 'app://chatwoot/' || id, 'events', jsonb_build_array(
                   'message.any', 'message.reaction', 'message.edited', 'message.revoked',
                   'message.ack', 'session.status')), 1
        FROM apps WHERE session_id = of_session AND enabled AND app = 'chatwoot'
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

CREATE FUNCTION webhooks_follow_apps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A session that is being deleted takes its webhooks along.
    PERFORM sync_webhooks(id) FROM sessions
    WHERE id = CASE TG_OP WHEN 'DELETE' THEN OLD.session_id ELSE NEW.session_id END;
    RETURN NULL;
END
$$;

CREATE TRIGGER webhooks_follow_apps AFTER INSERT OR UPDATE OR DELETE ON apps
FOR EACH ROW EXECUTE FUNCTION webhooks_follow_apps();
