-- For ranges of time, and for forgetting what is old.

CREATE INDEX events_time ON events USING brin (happened_at);
