"""Events as consumers see them: names, WAHA's payloads, signatures, retries, endpoints."""
