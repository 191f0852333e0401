-- depends: 0097_joining
-- A part of a long chat that moves is found by the key of each message. While there are no
-- statistics, as after a history that came at once, PostgreSQL took the chat's index for as good,
-- and read the whole chat for each message: two seconds for 500 of 10,000, with the session's fence
-- held. A chat in an expression keeps it from that index.

CREATE OR REPLACE FUNCTION move_messages(of_session bigint, of_lid text, to_phone text, most integer)
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
        WHERE m.session_id = of_session AND m.chat || '' = of_lid
          AND m.message_id = part.message_id AND m.from_me = part.from_me
          AND EXISTS (SELECT 1 FROM messages k
                      WHERE k.session_id = of_session AND k.chat || '' = to_phone
                        AND k.message_id = part.message_id AND k.from_me = part.from_me)
        RETURNING m.message_id, m.from_me
    ), others AS (
        UPDATE messages m SET chat = to_phone FROM part
        WHERE m.session_id = of_session AND m.chat || '' = of_lid
          AND m.message_id = part.message_id AND m.from_me = part.from_me
          AND NOT EXISTS (SELECT 1 FROM messages k
                          WHERE k.session_id = of_session AND k.chat || '' = to_phone
                            AND k.message_id = part.message_id AND k.from_me = part.from_me)
        RETURNING 1
    )
    SELECT count(*) INTO moved FROM part;
    WITH part AS MATERIALIZED (
        SELECT chat, message_id, from_me FROM messages
        WHERE session_id = of_session AND sender = of_lid AND sender LIKE '%@lid' LIMIT most
    )
    UPDATE messages m SET sender = to_phone FROM part
    WHERE m.session_id = of_session AND m.chat || '' = part.chat
      AND m.message_id = part.message_id AND m.from_me = part.from_me AND m.sender || '' = of_lid;
    GET DIAGNOSTICS renamed = ROW_COUNT;
    RETURN moved >= most OR renamed >= most;
END $$;
