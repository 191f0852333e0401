-- Which life of the database a row was written in, and which sessions were taken elsewhere.

-- Changes when the database was restored: into another cluster (system identifier), into another
-- database (oid), or by a promotion or a recovery to a point in time (timeline). What an ownership
-- says of "the very latest store" only holds within one life. Empty where the server does not tell.
CREATE FUNCTION database_life() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN concat_ws(':',
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()));
EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN
    RETURN '';
END $$;

ALTER TABLE ownership ADD COLUMN life text NOT NULL DEFAULT '';
UPDATE ownership SET life = database_life();

-- Set: an archive of the device was handed out; the session must not start here, or two would
-- speak for one device.
ALTER TABLE sessions ADD COLUMN exported_at timestamptz;
