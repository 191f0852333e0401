-- depends: 0098_lids_move_by_the_key
-- A part of a long chat that moves is found row by row, by its place (ctid), in statements without a
-- join. What PostgreSQL thinks of a session that was not there at the last ANALYZE made it join by an
-- index of the session alone, and read all of the session for each message; now it reads that once
-- for each statement at most. A place is good while the row is locked.

CREATE OR REPLACE FUNCTION move_messages(of_session bigint, of_lid text, to_phone text, most integer)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    places tid[];
    ids text[];
    known text[];
    moved integer;
    renamed integer;
BEGIN
    SELECT array_agg(part.ctid), array_agg(part.message_id) INTO places, ids
    FROM (SELECT ctid, message_id FROM messages
          WHERE session_id = of_session AND chat = of_lid LIMIT most FOR UPDATE) part;
    moved := coalesce(cardinality(places), 0);
    -- The phone's chat has them, too.
    SELECT array_agg(message_id || ' ' || from_me) INTO known FROM messages
    WHERE session_id = of_session AND chat = to_phone AND message_id = ANY (ids);
    DELETE FROM messages
    WHERE session_id = of_session AND chat = of_lid AND ctid = ANY (places)
      AND message_id || ' ' || from_me = ANY (known);
    UPDATE messages SET chat = to_phone
    WHERE session_id = of_session AND chat = of_lid AND ctid = ANY (places);
    SELECT array_agg(part.ctid) INTO places
    FROM (SELECT ctid FROM messages
          WHERE session_id = of_session AND sender = of_lid AND sender LIKE '%@lid' LIMIT most
          FOR UPDATE) part;
    renamed := coalesce(cardinality(places), 0);
    UPDATE messages SET sender = to_phone
    WHERE session_id = of_session AND sender = of_lid AND ctid = ANY (places);
    RETURN moved >= most OR renamed >= most;
END $$;
