-- History: people under two addresses, contacts, groups, search, and what a sync brings late.

-- A LID and the phone number of the same person (JIDs).
CREATE TABLE lid_pairs (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    lid         text NOT NULL,
    phone       text NOT NULL,
    PRIMARY KEY (session_id, lid)
);

CREATE TABLE contacts (
    session_id    bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    -- By phone number where it is known, else by LID.
    jid           text NOT NULL,
    -- From the address book of the account.
    name          text NOT NULL DEFAULT '',
    -- What the person calls itself, and when it was last heard of.
    push_name     text NOT NULL DEFAULT '',
    named_at      timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (session_id, jid)
);

CREATE TABLE groups (
    session_id    bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    jid           text NOT NULL,
    subject       text NOT NULL DEFAULT '',
    description   text NOT NULL DEFAULT '',
    -- {JID: `participant`, `admin` or `superadmin`}
    members       jsonb NOT NULL DEFAULT '{}',
    -- The account is in it.
    joined        boolean NOT NULL DEFAULT true,
    -- When WhatsApp last told of it.
    told_at       timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (session_id, jid)
);

-- The address under which a person is kept: the phone number where it is known.
CREATE FUNCTION kept_as(of_session bigint, jid text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF jid LIKE '%@lid' THEN
        RETURN coalesce((SELECT phone FROM lid_pairs WHERE session_id = of_session AND lid = jid), jid);
    END IF;
    RETURN jid;
END $$;

CREATE FUNCTION messages_by_phone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.chat := (SELECT coalesce(max(phone), NEW.chat) FROM lid_pairs
                 WHERE session_id = NEW.session_id AND lid = NEW.chat);
    NEW.sender := (SELECT coalesce(max(phone), NEW.sender) FROM lid_pairs
                   WHERE session_id = NEW.session_id AND lid = NEW.sender);
    RETURN NEW;
END $$;

CREATE TRIGGER messages_by_phone BEFORE INSERT ON messages
    FOR EACH ROW WHEN (NEW.chat LIKE '%@lid' OR NEW.sender LIKE '%@lid')
    EXECUTE FUNCTION messages_by_phone();

-- Who is still kept by LID: few, and looked for whenever a number becomes known.
CREATE INDEX messages_lid_senders ON messages (session_id, sender) WHERE sender LIKE '%@lid';

-- The number behind a LID became known: what is kept under the LID moves there.
CREATE FUNCTION person_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM messages m USING messages k
    WHERE m.session_id = NEW.session_id AND m.chat = NEW.lid
      AND k.session_id = m.session_id AND k.message_id = m.message_id
      AND k.chat = NEW.phone AND k.from_me = m.from_me;
    UPDATE messages SET chat = NEW.phone WHERE session_id = NEW.session_id AND chat = NEW.lid;
    UPDATE messages SET sender = NEW.phone
    WHERE session_id = NEW.session_id AND sender = NEW.lid AND sender LIKE '%@lid';

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

CREATE TRIGGER person_known AFTER INSERT OR UPDATE OF phone ON lid_pairs
    FOR EACH ROW EXECUTE FUNCTION person_known();

-- As in 0002, for messages that arrive late: what is older than what a chat shows changes neither
-- its name nor, when it is one's own, what is unread. Names of people are kept as contacts.
CREATE OR REPLACE FUNCTION messages_follow() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF TG_OP <> 'INSERT' THEN
        RETURN NULL;
    END IF;
    IF NEW.push_name <> '' AND NOT NEW.from_me THEN
        INSERT INTO contacts AS c (session_id, jid, push_name, named_at)
        VALUES (NEW.session_id, NEW.sender, NEW.push_name, NEW.sent_at)
        ON CONFLICT (session_id, jid) DO UPDATE
            SET push_name = excluded.push_name, named_at = excluded.named_at
            WHERE c.push_name <> excluded.push_name AND c.named_at <= excluded.named_at;
    END IF;
    IF NEW.kind <> ALL (messages_about_messages()) AND NEW.chat <> 'status@broadcast' THEN
        INSERT INTO chats AS c (session_id, chat, name, last_at, last_message, unread)
        VALUES (NEW.session_id, NEW.chat,
                CASE WHEN NEW.chat LIKE '%@g.us' THEN coalesce(
                         (SELECT subject FROM groups
                          WHERE session_id = NEW.session_id AND jid = NEW.chat), '')
                     WHEN NEW.from_me THEN '' ELSE NEW.push_name END,
                NEW.sent_at, NEW.message_id,
                CASE WHEN NOT NEW.from_me AND NEW.ack < 3 THEN 1 ELSE 0 END)
        ON CONFLICT (session_id, chat) DO UPDATE SET
            name = CASE WHEN excluded.name <> '' AND (c.name = '' OR excluded.last_at >= c.last_at)
                        THEN excluded.name ELSE c.name END,
            last_message = CASE WHEN excluded.last_at >= c.last_at OR c.last_message = ''
                                THEN excluded.last_message ELSE c.last_message END,
            last_at = greatest(c.last_at, excluded.last_at),
            unread = CASE WHEN NEW.from_me AND excluded.last_at >= c.last_at THEN 0
                          ELSE c.unread + excluded.unread END;
    END IF;
    RETURN NULL;
END $$;

-- Search. The session is a word of each message (none that a text could have: it begins with a
-- space), so that one index lookup stays within it. No
-- language: no stemming, no stop words; case is folded by the database's best collation (the
-- plain C one knows ASCII only).
DO $$
DECLARE
    folding text := (SELECT quote_ident(collname) FROM pg_collation
                     WHERE collname IN ('pg_c_utf8', 'und-x-icu')
                     ORDER BY collname <> 'pg_c_utf8' LIMIT 1);
BEGIN
    EXECUTE format('CREATE FUNCTION words_of(body text) RETURNS tsvector '
                   'LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN '
                   'to_tsvector(''simple''::regconfig, lower(left(body, 65536) COLLATE %s))',
                   coalesce(folding, '"default"'));
END $$;

CREATE FUNCTION message_words(session_id bigint, body text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN words_of(body) || array_to_tsvector(ARRAY[' ' || session_id::text]);

CREATE INDEX messages_words ON messages USING gin (message_words(session_id, body))
    WITH (fastupdate = off) WHERE body <> '';
