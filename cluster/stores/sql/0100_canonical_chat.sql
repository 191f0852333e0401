-- `kept_as` under the name that says what it is; what calls it, calls that one.

-- The address under which a person is kept: the phone number where it is known.
CREATE FUNCTION canonical_chat(of_session bigint, jid text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF jid LIKE '%@lid' THEN
        RETURN coalesce((SELECT phone FROM lid_pairs WHERE session_id = of_session AND lid = jid), jid);
    END IF;
    RETURN jid;
END $$;

-- An admin of the group now, which is then: what arrives is written in the order of its sending.
CREATE OR REPLACE FUNCTION is_group_admin(of_session bigint, group_jid text, person text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (
        SELECT 1 FROM groups g, jsonb_each_text(g.members) AS member(jid, role)
        WHERE g.session_id = of_session AND g.jid = group_jid
          AND member.role IN ('admin', 'superadmin')
          AND (member.jid = person OR canonical_chat(of_session, member.jid) = person))
$$;

-- Why `sender` may not do `act` to the message `target` of a chat; empty when it may, and for acts
-- that change none. `own`: another device of the account, or the API.
CREATE OR REPLACE FUNCTION change_refused(
    of_session bigint, in_chat text, act text, sender text, own boolean, target text
) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    rights text[] := ARRAY(SELECT who FROM message_rights() r WHERE r.kind = act);
    place text := canonical_chat(of_session, in_chat);
    person text := canonical_chat(of_session, sender);
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

-- For the version before, while an upgrade goes from node to node.
CREATE OR REPLACE FUNCTION kept_as(of_session bigint, jid text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT canonical_chat(of_session, jid) $$;
