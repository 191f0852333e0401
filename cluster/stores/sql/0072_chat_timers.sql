-- After how many seconds messages of a chat disappear, as its people set it.
CREATE TABLE chat_timers (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    chat        text NOT NULL,
    -- 0: they stay.
    seconds     integer NOT NULL,
    -- When it was set, where that was told: an older word changes nothing.
    set_at      timestamptz NOT NULL,
    PRIMARY KEY (session_id, chat)
);

-- The number behind a LID became known: its timer moves there, as its messages do (0010).
CREATE FUNCTION chat_timer_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chat_timers AS t (session_id, chat, seconds, set_at)
    SELECT session_id, NEW.phone, seconds, set_at FROM chat_timers
    WHERE session_id = NEW.session_id AND chat = NEW.lid
    ON CONFLICT (session_id, chat) DO UPDATE
        SET seconds = excluded.seconds, set_at = excluded.set_at
        WHERE t.set_at < excluded.set_at;
    DELETE FROM chat_timers WHERE session_id = NEW.session_id AND chat = NEW.lid;
    RETURN NULL;
END $$;

CREATE TRIGGER chat_timer_follows AFTER INSERT OR UPDATE OF phone ON lid_pairs
    FOR EACH ROW EXECUTE FUNCTION chat_timer_follows();
