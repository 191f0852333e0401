-- Sending limits: since when a device is linked, and which chats a session opened.

-- NULL: no device, or one that was linked before this was kept (then `created_at` counts).
ALTER TABLE sessions ADD COLUMN linked_at timestamptz;

CREATE FUNCTION note_linked_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.linked_at := CASE
        WHEN NEW.me IS NULL THEN NULL
        WHEN OLD.me IS NULL THEN clock_timestamp()
        ELSE OLD.linked_at
    END;
    RETURN NEW;
END $$;

CREATE TRIGGER sessions_linked_at BEFORE UPDATE OF me ON sessions
    FOR EACH ROW EXECUTE FUNCTION note_linked_at();

-- First messages to people with whom nothing was exchanged before.
CREATE TABLE chat_openings (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    chat        text NOT NULL,
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, chat)
);
CREATE INDEX chat_openings_time ON chat_openings (session_id, opened_at);

-- Something was exchanged with a chat, or it was opened before. A message that only waits to be
-- sent says nothing: it has `ack` 0.
CREATE FUNCTION chat_known(in_session bigint, in_chat text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM chat_openings c
                   WHERE c.session_id = in_session AND c.chat = in_chat)
        OR EXISTS (SELECT 1 FROM messages m
                   WHERE m.session_id = in_session AND m.chat = in_chat
                     AND (NOT m.from_me OR m.ack > 0))
$$;
