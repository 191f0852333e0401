-- API keys (never in clear), and who did what to sessions and keys.

CREATE TABLE api_keys (
    id          text PRIMARY KEY,
    tenant      text NOT NULL,
    -- SHA-256 of the key.
    digest      text NOT NULL UNIQUE,
    -- Its beginning, to tell it from others.
    hint        text NOT NULL,
    admin       boolean NOT NULL,
    -- By name; NULL: every session of the tenant.
    session     text,
    actions     text[] NOT NULL,
    active      boolean NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (admin OR session IS NOT NULL)
);
CREATE INDEX api_keys_tenant ON api_keys (tenant, created_at);

CREATE TABLE audit_log (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tenant      text NOT NULL,
    who         text NOT NULL,
    address     text NOT NULL,
    -- Method and template of the path: `POST /api/sessions/{session}/stop`.
    action      text NOT NULL,
    session     text NOT NULL DEFAULT '',
    status      smallint NOT NULL,
    request_id  text NOT NULL DEFAULT ''
);
CREATE INDEX audit_log_tenant ON audit_log (tenant, id);
CREATE INDEX audit_log_time ON audit_log USING brin (happened_at);
