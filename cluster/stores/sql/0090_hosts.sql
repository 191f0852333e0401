-- Processes that host sessions, one or many each, and which session lives in which. They take the
-- place of packs, which is what those for many were called.

CREATE TABLE hosts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The node (Ray id) it was made for.
    node        text NOT NULL,
    -- Sessions it has room for; as many slots are reserved for it.
    capacity    integer NOT NULL CHECK (capacity > 0),
    -- Its process has too much behind it: it takes no more sessions, and ends once it is empty.
    worn        boolean NOT NULL DEFAULT false,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE placements (
    session_id  bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    host        bigint NOT NULL REFERENCES hosts ON DELETE CASCADE,
    assigned_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX placements_host ON placements (host);
