"""What cannot be looked at or converted."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):
    """The file is not what it should be; the text says what is wrong with it."""
