"""What the sandbox refuses, and how it says so."""

from __future__ import annotations

__all__ = ["IqError", "SandboxError"]


class SandboxError(Exception):
    """A request of the control API, or of a phone, that cannot be done. Text for people."""

    def __init__(self, detail: str, *, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        #: HTTP status for the control API
        self.status = status


class IqError(Exception):
    """An iq that is answered with `<error code= text=>` (whatsmeow: errors.go, ErrIQ…)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
