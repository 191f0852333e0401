-- W3C `traceparent` of the request that a message or event goes back to; NULL without tracing.

ALTER TABLE outbox ADD COLUMN trace text;
ALTER TABLE events ADD COLUMN trace text;
