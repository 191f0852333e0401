"""Apps of sessions that get its events: as sinks, with retries, circuit and dead letters."""
