-- Who may change a message. What says so comes end-to-end encrypted: WhatsApp cannot check it, its
-- clients do, and so do we.

-- The table of rights. What is not in it (reactions, pins, votes in polls, invitations, group
-- settings in messages) is told as its sender's and changes no message.
CREATE FUNCTION message_rights() RETURNS TABLE (kind text, who text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    VALUES ('edit', 'sender'),
           ('revoke', 'sender'),
           ('revoke', 'admin')
$$;

-- An admin of the group now, which is then: what arrives is written in the order of its sending.
CREATE FUNCTION is_group_admin(of_session bigint, group_jid text, person text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (
        SELECT 1 FROM groups g, jsonb_each_text(g.members) AS member(jid, role)
        WHERE g.session_id = of_session AND g.jid = group_jid
          AND member.role IN ('admin', 'superadmin')
          AND (member.jid = person OR kept_as(of_session, member.jid) = person))
$$;

-- Why `sender` may not do `act` to the message `target` of a chat; empty when it may, and for acts
-- that change none. `own`: another device of the account, or the API.
CREATE FUNCTION change_refused(
    of_session bigint, in_chat text, act text, sender text, own boolean, target text
) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    rights text[] := ARRAY(SELECT who FROM message_rights() r WHERE r.kind = act);
    place text := kept_as(of_session, in_chat);
    person text := kept_as(of_session, sender);
    authors text[];
BEGIN
    IF cardinality(rights) = 0 THEN
        RETURN '';
    END IF;
    authors := ARRAY(SELECT m.sender FROM messages m
                     WHERE m.session_id = of_session AND m.message_id = target
                       AND m.chat = place AND m.kind NOT IN ('edit', 'revoke'));
    IF 'sender' = ANY (rights) AND person = ANY (authors) THEN
        RETURN '';
    END IF;
    IF 'admin' = ANY (rights) AND place LIKE '%@g.us'
       AND (own OR is_group_admin(of_session, place, person)) THEN
        RETURN '';
    END IF;
    IF cardinality(authors) = 0 THEN
        RETURN CASE WHEN own THEN '' ELSE 'unknown_message' END;
    END IF;
    RETURN CASE WHEN 'admin' = ANY (rights) AND place LIKE '%@g.us'
                THEN 'neither_sender_nor_admin' ELSE 'not_sender' END;
END $$;

-- As in 0010, but for who is believed. The text stays when somebody else than its author deletes
-- it; what is deleted is not told by any statement that reads messages.
CREATE OR REPLACE FUNCTION messages_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind IN ('edit', 'revoke') THEN
        -- What is sent from here counts once WhatsApp has it, what is received counts at once.
        IF NEW.ack >= 1 AND (TG_OP = 'INSERT' OR OLD.ack < 1)
           AND change_refused(NEW.session_id, NEW.chat, NEW.kind, NEW.sender, NEW.from_me,
                              NEW.reply_to) = '' THEN
            UPDATE messages m
            SET body = CASE WHEN NEW.kind = 'edit' THEN NEW.body
                            WHEN m.sender = NEW.sender THEN '' ELSE m.body END,
                edited_at = CASE NEW.kind WHEN 'edit' THEN NEW.sent_at ELSE m.edited_at END,
                revoked_at = CASE NEW.kind WHEN 'revoke' THEN NEW.sent_at ELSE m.revoked_at END
            WHERE m.session_id = NEW.session_id AND m.message_id = NEW.reply_to
              AND m.chat = NEW.chat AND m.kind NOT IN ('edit', 'revoke')
              -- Another message may have the same id.
              AND (m.sender = NEW.sender
                   OR (NEW.kind = 'revoke' AND NEW.chat LIKE '%@g.us'
                       AND (NEW.from_me
                            OR is_group_admin(NEW.session_id, NEW.chat, NEW.sender))));
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
