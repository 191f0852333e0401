-- What arrived and could not be understood or recorded: kept as it came, for people to look at. The
-- newest of each session, by count and by size.

CREATE TABLE quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    -- What the library calls it: `Message`, `Receipt` …
    kind        text NOT NULL,
    error       text NOT NULL,
    -- The library's code and protobuf; its beginning only, when it is longer than is kept.
    entry       bytea NOT NULL,
    size        bigint NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX quarantine_session ON quarantine (session_id, id DESC);
