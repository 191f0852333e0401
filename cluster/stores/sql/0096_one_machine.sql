-- depends: 0095_app_commands
-- Leases that hold while PostgreSQL is away, where every owner's death can be proven.

ALTER TABLE workers
    -- Boot id and pid namespace of the node, as its agent tells them; empty until it has. Processes
    -- of one host can see of each other whether they live.
    ADD COLUMN host text NOT NULL DEFAULT '';

ALTER TABLE ownership
    -- The newest epoch whose owner closed its connection after it had learned of a newer one.
    ADD COLUMN left_epoch bigint NOT NULL DEFAULT 0,
    -- The owner stays connected without PostgreSQL: a successor on its host may end its process.
    ADD COLUMN stays boolean NOT NULL DEFAULT false;

-- Whether every node there is shares the host of this holder (`boot/namespace/pid/start`).
CREATE FUNCTION alone(of_holder text) RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce((SELECT bool_and(w.host = split_part(of_holder, '/', 1) || '/'
                                              || split_part(of_holder, '/', 2))
                     FROM workers w WHERE w.lost_at IS NULL), false);
