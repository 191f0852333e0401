-- Accepted sends belong to the account they were accepted for: another one may be linked later.

-- JID without device; empty where an older version wrote it.
ALTER TABLE outbox ADD COLUMN account text NOT NULL DEFAULT '';

UPDATE outbox o SET account = m.sender FROM messages m
WHERE o.state = 'accepted' AND m.session_id = o.session_id AND m.message_id = o.message_id
  AND m.from_me;
