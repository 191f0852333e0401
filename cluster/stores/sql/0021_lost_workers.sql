-- Nodes that are gone are marked, and kept for a while.

ALTER TABLE workers ADD COLUMN lost_at timestamptz;
