"""Apps of sessions that are told of events: as sinks, with retries, circuit and dead letters."""
