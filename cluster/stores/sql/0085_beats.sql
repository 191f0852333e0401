-- depends: 0081_outbox_accounts
-- When a node last said that it is alive, by its agent: several times a second.

ALTER TABLE workers ADD COLUMN beat_at timestamptz;
