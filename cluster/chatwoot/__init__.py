"""Chatwoot, a help desk: its API, and what both sides of the bridge to it share."""
