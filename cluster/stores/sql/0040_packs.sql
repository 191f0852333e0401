-- Packed placement: processes that host many sessions each, and which session lives in which.

CREATE TABLE packs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The node (Ray id) it is pinned to.
    node        text NOT NULL,
    -- Sessions it has room for; as many slots are reserved for it.
    capacity    integer NOT NULL CHECK (capacity > 0),
    -- Its process has too much behind it: it takes no more sessions, and ends once it is empty.
    worn        boolean NOT NULL DEFAULT false,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When its process last looked for what it has to run.
    seen_at     timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

CREATE TABLE session_packs (
    session_id  bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    pack        bigint NOT NULL REFERENCES packs ON DELETE CASCADE,
    assigned_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX session_packs_pack ON session_packs (pack);
