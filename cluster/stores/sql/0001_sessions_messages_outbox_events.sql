-- Sessions, their ownership, history, outbox, events and checkpoints.

CREATE TABLE sessions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text NOT NULL,
    name        text NOT NULL,
    desired     text NOT NULL CHECK (desired IN ('RUNNING', 'STOPPED')),
    status      text NOT NULL CHECK (status IN ('STOPPED', 'STARTING', 'SCAN_QR_CODE', 'WORKING', 'FAILED')),
    reason      text NOT NULL DEFAULT '',
    config      jsonb NOT NULL DEFAULT '{}',
    me          jsonb,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, name)
);

-- Who owns a session, and until when. `epoch` is the fencing token. Updated at every renewal, so
-- it is a table of its own with room for in-page updates.
CREATE TABLE ownership (
    session_id  bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    epoch       bigint NOT NULL DEFAULT 0,
    node        text NOT NULL DEFAULT '',
    holder      text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- The last owner let go by itself; `clean`: its last checkpoint is the very latest store.
    released    boolean NOT NULL DEFAULT true,
    clean       boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- The row that every write of an owner locks: its epoch fences, its counters number.
CREATE TABLE session_streams (
    session_id  bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    epoch       bigint NOT NULL DEFAULT 0,
    event_seq   bigint NOT NULL DEFAULT 0,
    outbox_seq  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE messages (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    chat        text NOT NULL,
    message_id  text NOT NULL,
    from_me     boolean NOT NULL,
    sender      text NOT NULL,
    sent_at     timestamptz NOT NULL,
    kind        text NOT NULL,
    body        text NOT NULL DEFAULT '',
    ack         smallint NOT NULL DEFAULT 0,
    via_api     boolean NOT NULL DEFAULT false,
    has_media   boolean NOT NULL DEFAULT false,
    reply_to    text NOT NULL DEFAULT '',
    push_name   text NOT NULL DEFAULT '',
    payload     jsonb NOT NULL DEFAULT '{}',
    stored_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, message_id, chat, from_me)
) PARTITION BY HASH (session_id);

CREATE INDEX messages_chat ON messages (session_id, chat, sent_at DESC);
CREATE INDEX messages_time ON messages (session_id, sent_at DESC);

CREATE TABLE outbox (
    session_id      bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    seq             bigint NOT NULL,
    message_id      text NOT NULL,
    chat            text NOT NULL,
    kind            text NOT NULL,
    content         jsonb NOT NULL,
    fingerprint     text NOT NULL,
    idempotency_key text,
    state           text NOT NULL DEFAULT 'accepted'
                    CHECK (state IN ('accepted', 'sent', 'delivered', 'read', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    error           text NOT NULL DEFAULT '',
    accepted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at         timestamptz,
    PRIMARY KEY (session_id, seq),
    UNIQUE (session_id, message_id),
    UNIQUE (session_id, idempotency_key)
);

CREATE INDEX outbox_pending ON outbox (session_id, seq) WHERE state = 'accepted';

CREATE TABLE events (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    seq         bigint NOT NULL,
    id          text NOT NULL,
    type        text NOT NULL,
    payload     jsonb NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, seq)
) PARTITION BY HASH (session_id);

DO $$
BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format('CREATE TABLE messages_%s PARTITION OF messages '
                       'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
        EXECUTE format('CREATE TABLE events_%s PARTITION OF events '
                       'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    END LOOP;
END $$;

CREATE TABLE checkpoints (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    epoch       bigint NOT NULL,
    seq         bigint NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('base', 'delta')),
    -- Of the same epoch: the base that a delta chain starts from (its own seq for a base).
    base_seq    bigint NOT NULL,
    object_key  text NOT NULL,
    size        bigint NOT NULL,
    sha256      text NOT NULL,
    key_id      text NOT NULL,
    bad         boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, epoch, seq)
);

CREATE TABLE workers (
    node        text PRIMARY KEY,
    address     text NOT NULL,
    slots       integer NOT NULL,
    sessions    integer NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
