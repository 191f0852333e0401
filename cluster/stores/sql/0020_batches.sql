-- Sinks that take batches: where the batch under way ends, so that whoever tries it again writes
-- the very same one.

ALTER TABLE webhooks ADD COLUMN batch_until bigint NOT NULL DEFAULT 0;
