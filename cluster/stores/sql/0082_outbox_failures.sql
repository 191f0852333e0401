-- What a failed send was answered, as it is answered again: error_from_payload's code, detail and
-- fields. Null: not failed, or failed before this was kept.
ALTER TABLE outbox ADD COLUMN failure jsonb;
