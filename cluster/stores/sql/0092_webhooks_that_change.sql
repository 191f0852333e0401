-- depends: 0091_chatwoot
-- An endpoint whose URL changes keeps its place in the events, its name and its dead letters.

-- Where it stands in its configuration.
ALTER TABLE webhooks ADD COLUMN place integer NOT NULL DEFAULT 0;

-- Brings the rows of a session in `webhooks` in line with its configuration and the global one.
-- A row stays what it is as long as something in the configuration can be the same endpoint: the
-- same one, the same URL, the same but for its query (a token), the same server, the same place.
-- What was added starts with the next event; what was taken out, with nothing in its stead, is gone.
CREATE OR REPLACE FUNCTION sync_webhooks(of_session bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    pair record;
    fresh record;
    kept bigint[] := '{}';
    placed text[] := '{}';
    name text;
    nth integer;
BEGIN
    -- One at a time; a statement after this one sees the configuration that the other left.
    PERFORM 1 FROM sessions WHERE id = of_session FOR NO KEY UPDATE;
    FOR pair IN
        SELECT w.id, w.key, n.origin || ' ' || n.place AS at, n.place, n.url, n.config,
               w.url <> n.url AS moved, w.config IS DISTINCT FROM n.config AS changed
        FROM configured_webhooks(of_session) n
        JOIN webhooks w ON w.session_id = of_session AND w.origin = n.origin
        -- A sink is not another one.
        WHERE w.url = n.url OR (w.url ~ '^https?:' AND n.url ~ '^https?:')
        ORDER BY CASE
                     WHEN w.config = n.config THEN 0
                     WHEN w.url = n.url THEN 1
                     WHEN split_part(split_part(w.url, '#', 1), '?', 1)
                          = split_part(split_part(n.url, '#', 1), '?', 1) THEN 2
                     WHEN substring(w.url from '^[^:]+://([^/?#]*@)?[^/?#]*')
                          = substring(n.url from '^[^:]+://([^/?#]*@)?[^/?#]*') THEN 3
                     ELSE 4
                 END,
                 abs(w.place - n.place), n.place, w.place, w.id
    LOOP
        CONTINUE WHEN pair.id = ANY (kept) OR pair.at = ANY (placed);
        kept := kept || pair.id;
        placed := placed || pair.at;
        UPDATE webhooks SET place = pair.place WHERE id = pair.id AND place <> pair.place;
        IF pair.moved THEN
            -- Nobody goes on delivering to where it was; what failed there begins anew.
            UPDATE webhooks SET url = pair.url, config = pair.config,
                   target = encode(sha256(convert_to(pair.url, 'UTF8')), 'hex'),
                   attempts = 0, error = '', next_try_at = '-infinity', batch_until = 0,
                   lease = '', lease_until = '-infinity'
            WHERE id = pair.id OR (session_id = of_session AND origin = 'replay'
                                   AND split_part(key, '/', 2) = pair.key);
        ELSIF pair.changed THEN
            UPDATE webhooks SET config = pair.config, next_try_at = '-infinity'
            WHERE id = pair.id OR (session_id = of_session AND origin = 'replay'
                                   AND split_part(key, '/', 2) = pair.key);
        END IF;
    END LOOP;
    DELETE FROM webhooks
    WHERE session_id = of_session AND origin <> 'replay' AND NOT id = ANY (kept);
    FOR fresh IN
        SELECT origin, place, url, config,
               encode(sha256(convert_to(url, 'UTF8')), 'hex') AS target
        FROM configured_webhooks(of_session) WHERE NOT origin || ' ' || place = ANY (placed)
        ORDER BY origin, place
    LOOP
        nth := 1;
        LOOP
            name := CASE fresh.origin WHEN 'global' THEN 'gwh_' ELSE 'wh_' END
                    || left(fresh.target, 20) || CASE WHEN nth > 1 THEN '_' || nth ELSE '' END;
            INSERT INTO webhooks (session_id, key, origin, url, target, config, place, cursor)
            SELECT of_session, name, fresh.origin, fresh.url, fresh.target, fresh.config,
                   fresh.place,
                   coalesce((SELECT event_seq FROM session_streams
                             WHERE session_id = of_session), 0)
            ON CONFLICT (session_id, key) DO NOTHING;
            EXIT WHEN FOUND;
            nth := nth + 1;
        END LOOP;
    END LOOP;
END
$$;

CREATE FUNCTION configured_webhooks(of_session bigint)
RETURNS TABLE (origin text, place integer, url text, config jsonb) LANGUAGE sql VOLATILE AS $$
    SELECT 'session', place::integer, hook->>'url', hook
    FROM sessions,
         jsonb_array_elements(CASE jsonb_typeof(config->'webhooks')
                              WHEN 'array' THEN config->'webhooks' ELSE '[]' END)
         WITH ORDINALITY AS configured(hook, place)
    WHERE id = of_session AND hook->>'url' <> ''
    UNION ALL
    -- The apps that take events (0091).
    SELECT 'session', (1000 + row_number() OVER (ORDER BY id))::integer, 'app://chatwoot/' || id,
           jsonb_build_object('url', 'app://chatwoot/' || id, 'events', jsonb_build_array(
               'message.any', 'message.reaction', 'message.edited', 'message.revoked',
               'message.ack', 'session.status'))
    FROM apps WHERE session_id = of_session AND enabled AND app = 'chatwoot'
    UNION ALL
    SELECT 'global', row_number() OVER (ORDER BY url)::integer, url, config FROM global_webhooks
$$;

DO $$
BEGIN
    PERFORM sync_webhooks(id) FROM sessions;
END $$;
