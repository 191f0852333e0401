-- depends: 0092_webhooks_that_change
-- What is kept under a LID moves to the number a part at a time: nobody waits for a long chat.

CREATE TABLE lid_moves (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    lid         text NOT NULL,
    phone       text NOT NULL,
    PRIMARY KEY (session_id, lid)
);

-- Moves up to `most` messages, and as many senders of messages in groups, of one LID; whether more
-- are left.
CREATE FUNCTION move_messages(of_session bigint, of_lid text, to_phone text, most integer)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    moved integer;
    renamed integer;
BEGIN
    WITH part AS MATERIALIZED (
        SELECT message_id, from_me FROM messages
        WHERE session_id = of_session AND chat = of_lid LIMIT most
    ), twice AS (
        DELETE FROM messages m USING part
        WHERE m.session_id = of_session AND m.chat = of_lid
          AND m.message_id = part.message_id AND m.from_me = part.from_me
          AND EXISTS (SELECT 1 FROM messages k
                      WHERE k.session_id = of_session AND k.chat = to_phone
                        AND k.message_id = part.message_id AND k.from_me = part.from_me)
        RETURNING m.message_id, m.from_me
    ), others AS (
        UPDATE messages m SET chat = to_phone FROM part
        WHERE m.session_id = of_session AND m.chat = of_lid
          AND m.message_id = part.message_id AND m.from_me = part.from_me
          AND NOT EXISTS (SELECT 1 FROM messages k
                          WHERE k.session_id = of_session AND k.chat = to_phone
                            AND k.message_id = part.message_id AND k.from_me = part.from_me)
        RETURNING 1
    )
    SELECT count(*) INTO moved FROM part;
    WITH part AS MATERIALIZED (
        SELECT chat, message_id, from_me FROM messages
        WHERE session_id = of_session AND sender = of_lid AND sender LIKE '%@lid' LIMIT most
    )
    UPDATE messages m SET sender = to_phone FROM part
    WHERE m.session_id = of_session AND m.chat = part.chat AND m.message_id = part.message_id
      AND m.from_me = part.from_me AND m.sender = of_lid;
    GET DIAGNOSTICS renamed = ROW_COUNT;
    RETURN moved >= most OR renamed >= most;
END $$;

-- One step of what a session still has to move; whether more is left.
CREATE FUNCTION move_lids(of_session bigint, most integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    move record;
BEGIN
    SELECT lid, phone INTO move FROM lid_moves WHERE session_id = of_session
    ORDER BY lid LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF NOT move_messages(of_session, move.lid, move.phone, most) THEN
        DELETE FROM lid_moves WHERE session_id = of_session AND lid = move.lid;
    END IF;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION person_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF move_messages(NEW.session_id, NEW.lid, NEW.phone, 200) THEN
        INSERT INTO lid_moves (session_id, lid, phone)
        VALUES (NEW.session_id, NEW.lid, NEW.phone)
        ON CONFLICT (session_id, lid) DO UPDATE SET phone = excluded.phone;
    END IF;

    INSERT INTO chats AS c (session_id, chat, name, last_at, last_message, unread, marked_unread,
                            archived)
    SELECT session_id, NEW.phone, name, last_at, last_message, unread, marked_unread, archived
    FROM chats WHERE session_id = NEW.session_id AND chat = NEW.lid
    ON CONFLICT (session_id, chat) DO UPDATE SET
        name = CASE WHEN c.name <> '' THEN c.name ELSE excluded.name END,
        last_message = CASE WHEN excluded.last_at > c.last_at
                            THEN excluded.last_message ELSE c.last_message END,
        last_at = greatest(c.last_at, excluded.last_at),
        unread = c.unread + excluded.unread,
        marked_unread = c.marked_unread OR excluded.marked_unread,
        archived = c.archived AND excluded.archived;
    DELETE FROM chats WHERE session_id = NEW.session_id AND chat = NEW.lid;

    INSERT INTO contacts AS c (session_id, jid, name, push_name, named_at)
    SELECT session_id, NEW.phone, name, push_name, named_at
    FROM contacts WHERE session_id = NEW.session_id AND jid = NEW.lid
    ON CONFLICT (session_id, jid) DO UPDATE SET
        name = CASE WHEN c.name <> '' THEN c.name ELSE excluded.name END,
        push_name = CASE WHEN excluded.named_at > c.named_at OR c.push_name = ''
                         THEN excluded.push_name ELSE c.push_name END,
        named_at = greatest(c.named_at, excluded.named_at);
    DELETE FROM contacts WHERE session_id = NEW.session_id AND jid = NEW.lid;

    INSERT INTO chat_labels (session_id, label_id, chat)
    SELECT session_id, label_id, NEW.phone FROM chat_labels
    WHERE session_id = NEW.session_id AND chat = NEW.lid
    ON CONFLICT DO NOTHING;
    DELETE FROM chat_labels WHERE session_id = NEW.session_id AND chat = NEW.lid;
    RETURN NULL;
END $$;
