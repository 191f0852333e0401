-- depends: 0093_lids_move_in_batches
-- What an owner recorded and did not take out of its spool is found again by the end of its id.

CREATE FUNCTION recorded_lately(of_session bigint, event_id text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1 FROM session_streams s
        JOIN events e ON e.session_id = s.session_id AND e.seq > s.event_seq - 10000
        WHERE s.session_id = of_session AND right(e.id, 16) = right(event_id, 16))
$$;
