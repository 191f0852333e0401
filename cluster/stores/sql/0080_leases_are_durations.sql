-- Leases as durations: nobody compares a time that the server's clock told with another one.

ALTER TABLE ownership
    -- How long an owner may act after its last renewal. A successor waits that long, counted from
    -- the answer to its own claim. `lease_until` is for who looks, and decides nothing.
    ADD COLUMN lease_ttl interval NOT NULL DEFAULT '5 seconds',
    -- The owner has waited out its predecessor. Until then its own end ends nobody's waiting.
    ADD COLUMN free boolean NOT NULL DEFAULT true;

-- Of owners that were made under another setting.
UPDATE ownership SET lease_ttl = least(lease_until - clock_timestamp() + interval '2 seconds',
                                       interval '1 hour')
WHERE NOT released AND isfinite(lease_until)
  AND lease_until > clock_timestamp() + interval '4 seconds';

-- As far as the server's clock tells, for who looks. An end beyond a whole lease was written before
-- the clock was set back; a living owner writes another within a second.
CREATE FUNCTION lease_runs(o ownership) RETURNS boolean LANGUAGE sql STABLE
    RETURN o.lease_until BETWEEN clock_timestamp() AND clock_timestamp() + o.lease_ttl;

ALTER TABLE webhooks
    -- How long its holder may take for one event. Another dispatcher takes the row when it has seen
    -- the same lease at the same place for so long.
    ADD COLUMN lease_for interval NOT NULL DEFAULT '20 seconds';

CREATE INDEX webhooks_leased ON webhooks (id) WHERE lease <> '';
