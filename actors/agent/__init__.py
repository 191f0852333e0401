"""Nodes that report how they are, to Redis and to the backend."""
