-- depends: 0096_one_machine
-- A node that joins has not said yet what host it is on. It hosts no session without a claim of its
-- own, and that waits for the leases that it finds: until its agent has spoken it changes nobody's.

CREATE OR REPLACE FUNCTION alone(of_holder text) RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce((SELECT bool_and(w.host = split_part(of_holder, '/', 1) || '/'
                                              || split_part(of_holder, '/', 2))
                     FROM workers w WHERE w.lost_at IS NULL AND w.host <> ''), false);
