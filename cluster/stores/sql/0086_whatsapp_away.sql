-- depends: 0085_beats
-- A node that does not reach WhatsApp while others do hands its sessions over, as if it were drained.

ALTER TABLE workers ADD COLUMN whatsapp_away boolean NOT NULL DEFAULT false;

-- Whether a node (Ray id, or name) takes no sessions: somebody drained it, or it alone is cut off.
CREATE FUNCTION takes_none(w workers) RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (SELECT 1 FROM drained_nodes d WHERE d.node IN (w.name, w.node))
        OR (w.whatsapp_away AND EXISTS (
            SELECT 1 FROM workers o
            WHERE o.lost_at IS NULL AND NOT o.whatsapp_away AND o.slots > 0
              AND o.beat_at > clock_timestamp() - interval '5 seconds'
              AND NOT EXISTS (SELECT 1 FROM drained_nodes d WHERE d.node IN (o.name, o.node))));
