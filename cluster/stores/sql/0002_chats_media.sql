-- The list of chats, kept by a trigger with every message: it never has to be gathered from them.
CREATE TABLE chats (
    session_id    bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    chat          text NOT NULL,
    name          text NOT NULL DEFAULT '',
    last_at       timestamptz NOT NULL,
    last_message  text NOT NULL DEFAULT '',
    unread        integer NOT NULL DEFAULT 0,
    marked_unread boolean NOT NULL DEFAULT false,
    archived      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (session_id, chat)
) WITH (fillfactor = 80);

CREATE INDEX chats_recent ON chats (session_id, last_at DESC, chat);

ALTER TABLE messages ADD COLUMN edited_at timestamptz, ADD COLUMN revoked_at timestamptz;

-- Received and not read yet: few, and asked for by every "mark as read".
CREATE INDEX messages_unread ON messages (session_id, chat, sent_at DESC)
    WHERE NOT from_me AND ack < 3;

-- Kinds that say something about another message; they are no messages for the list.
CREATE FUNCTION messages_about_messages() RETURNS text[] LANGUAGE sql IMMUTABLE AS
    $$ SELECT ARRAY['reaction', 'edit', 'revoke', 'pin', 'poll_vote', 'protocol', 'sender_key'] $$;

CREATE FUNCTION messages_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind IN ('edit', 'revoke') THEN
        -- What is sent from here counts once WhatsApp has it, what is received counts at once.
        IF NEW.ack >= 1 AND (TG_OP = 'INSERT' OR OLD.ack < 1) THEN
            UPDATE messages m
            SET body = CASE NEW.kind WHEN 'edit' THEN NEW.body ELSE '' END,
                edited_at = CASE NEW.kind WHEN 'edit' THEN NEW.sent_at ELSE m.edited_at END,
                revoked_at = CASE NEW.kind WHEN 'revoke' THEN NEW.sent_at ELSE m.revoked_at END
            WHERE m.session_id = NEW.session_id AND m.message_id = NEW.reply_to
              AND m.chat = NEW.chat AND m.kind NOT IN ('edit', 'revoke')
              -- Everybody changes his own; deleting others' is the right of a group's admins,
              -- which WhatsApp has checked.
              AND (m.sender = NEW.sender OR (NEW.kind = 'revoke' AND NEW.chat LIKE '%@g.us'));
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' AND NEW.kind <> ALL (messages_about_messages())
       AND NEW.chat <> 'status@broadcast' THEN
        INSERT INTO chats AS c (session_id, chat, name, last_at, last_message, unread)
        VALUES (NEW.session_id, NEW.chat,
                CASE WHEN NEW.from_me OR NEW.chat LIKE '%@g.us' THEN '' ELSE NEW.push_name END,
                NEW.sent_at, NEW.message_id,
                CASE WHEN NOT NEW.from_me AND NEW.ack < 3 THEN 1 ELSE 0 END)
        ON CONFLICT (session_id, chat) DO UPDATE SET
            name = CASE WHEN excluded.name <> '' THEN excluded.name ELSE c.name END,
            last_message = CASE WHEN excluded.last_at >= c.last_at
                                THEN excluded.last_message ELSE c.last_message END,
            last_at = greatest(c.last_at, excluded.last_at),
            unread = CASE WHEN NEW.from_me THEN 0 ELSE c.unread + excluded.unread END;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER messages_follow AFTER INSERT OR UPDATE OF ack ON messages
    FOR EACH ROW EXECUTE FUNCTION messages_follow();

-- Stored attachments, so that they can be collected when their time is over.
CREATE TABLE media (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    object_key  text NOT NULL,
    mimetype    text NOT NULL,
    filename    text NOT NULL DEFAULT '',
    size        bigint NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- NULL: kept for ever.
    expires_at  timestamptz,
    PRIMARY KEY (session_id, object_key)
);

CREATE INDEX media_expiry ON media (expires_at) WHERE expires_at IS NOT NULL;
