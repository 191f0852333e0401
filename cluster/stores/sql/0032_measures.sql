-- Figures that only the processes know, added up over the cluster, and what leases tell anyway.

ALTER TABLE ownership
    ADD COLUMN renewals  bigint NOT NULL DEFAULT 0,
    -- Claims from a predecessor that had not let go.
    ADD COLUMN takeovers bigint NOT NULL DEFAULT 0;

-- `shard` spreads the processes over several rows, so that they do not wait for each other.
CREATE TABLE measure_totals (
    name        text NOT NULL,
    label       text NOT NULL,
    shard       smallint NOT NULL,
    value       double precision NOT NULL,
    PRIMARY KEY (name, label, shard)
) WITH (fillfactor = 50);

-- The latest word of each source; old ones do not count.
CREATE TABLE measure_gauges (
    name        text NOT NULL,
    source      text NOT NULL,
    value       double precision NOT NULL,
    told_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, source)
) WITH (fillfactor = 50);
