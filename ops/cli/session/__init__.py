"""`gateway session …`: sessions by the HTTP API of a gateway, here or anywhere."""
