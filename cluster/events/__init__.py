"""Events as consumers see them: names, WAHA's payloads, envelopes."""
