-- depends: 0098_lids_move_by_the_key
-- A part of a long chat that moves is found row by row, by its place (ctid). What PostgreSQL thinks
-- of a session that was not there at the last ANALYZE made it join by an index of the session alone,
-- and read all of the session for each message. A place costs less than any index, whatever the
-- statistics say; it is good while the row is locked.

CREATE OR REPLACE FUNCTION move_messages(of_session bigint, of_lid text, to_phone text, most integer)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    places tid[];
    ids text[];
    keys text[];
    known text[];
    moved integer;
    renamed integer;
BEGIN
    SELECT array_agg(part.ctid), array_agg(part.message_id),
           array_agg(part.message_id || ' ' || part.from_me)
    INTO places, ids, keys
    FROM (SELECT ctid, message_id, from_me FROM messages
          WHERE session_id = of_session AND chat = of_lid LIMIT most FOR UPDATE) part;
    moved := coalesce(cardinality(places), 0);
    BEGIN
        FOR i IN 1..moved LOOP
            UPDATE messages SET chat = to_phone
            WHERE session_id = of_session AND ctid = places[i];
        END LOOP;
    EXCEPTION WHEN unique_violation THEN
        -- The phone's chat has some of them, too. It is looked through once.
        SELECT array_agg(message_id || ' ' || from_me) INTO known FROM messages
        WHERE session_id = of_session AND chat = to_phone AND message_id = ANY (ids);
        FOR i IN 1..moved LOOP
            IF keys[i] = ANY (known) THEN
                DELETE FROM messages WHERE session_id = of_session AND ctid = places[i];
            ELSE
                UPDATE messages SET chat = to_phone
                WHERE session_id = of_session AND ctid = places[i];
            END IF;
        END LOOP;
    END;
    SELECT array_agg(part.ctid) INTO places
    FROM (SELECT ctid FROM messages
          WHERE session_id = of_session AND sender = of_lid AND sender LIKE '%@lid' LIMIT most
          FOR UPDATE) part;
    renamed := coalesce(cardinality(places), 0);
    FOR i IN 1..renamed LOOP
        UPDATE messages SET sender = to_phone WHERE session_id = of_session AND ctid = places[i];
    END LOOP;
    RETURN moved >= most OR renamed >= most;
END $$;
