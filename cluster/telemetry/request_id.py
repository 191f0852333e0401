"""The id of the HTTP request that this task works for: its log lines have it."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["REQUEST_ID"]

#: Empty where none is known.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
