-- depends: 0094_recorded_lately
-- Apps are told of what agents ask of them (`app.command`), and of calls.

CREATE OR REPLACE FUNCTION configured_webhooks(of_session bigint)
RETURNS TABLE (origin text, place integer, url text, config jsonb) LANGUAGE sql VOLATILE AS $$
    SELECT 'session', place::integer, hook->>'url', hook
    FROM sessions,
         jsonb_array_elements(CASE jsonb_typeof(config->'webhooks')
                              WHEN 'array' THEN config->'webhooks' ELSE '[]' END)
         WITH ORDINALITY AS configured(hook, place)
    WHERE id = of_session AND hook->>'url' <> ''
    UNION ALL
    SELECT 'session', (1000 + row_number() OVER (ORDER BY id))::integer,
           'app://' || app || '/' || id,
           jsonb_build_object('url', 'app://' || app || '/' || id, 'events', CASE app
               WHEN 'chatwoot' THEN jsonb_build_array(
                   'message.any', 'message.reaction', 'message.edited', 'message.revoked',
                   'message.ack', 'session.status', 'app.command')
               ELSE jsonb_build_array('call.received') END)
    FROM apps WHERE session_id = of_session AND enabled AND app IN ('chatwoot', 'calls')
    UNION ALL
    SELECT 'global', row_number() OVER (ORDER BY url)::integer, url, config FROM global_webhooks
$$;

-- Whoever rejects a call answers it, once.
CREATE UNIQUE INDEX apps_one_calls ON apps (session_id) WHERE app = 'calls';

DO $$
BEGIN
    PERFORM sync_webhooks(session_id) FROM (SELECT DISTINCT session_id FROM apps) AS served;
END $$;
