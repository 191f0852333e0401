"""Nodes that tell how they are, and the backend that is told of them and of sessions."""
