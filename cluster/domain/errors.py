"""The error tree. A class's docstring is its default message; `api/problems.py` maps it to HTTP."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

__all__ = [
    "BodyTooLarge",
    "Conflict",
    "Forbidden",
    "GatewayError",
    "Invalid",
    "NotFound",
    "NotOnWhatsApp",
    "NotOwner",
    "NotPermitted",
    "NotReached",
    "NotSupported",
    "RateLimited",
    "SessionNotFound",
    "SessionNotWorking",
    "TooSlow",
    "Unauthorized",
    "Unavailable",
    "Unstorable",
    "WhatsAppRefused",
    "error_from_payload",
]


class GatewayError(Exception):
    """The gateway could not do what was asked."""

    #: Stable machine-readable name, the same in problem bodies, logs and metrics.
    code: ClassVar[str] = "gateway_error"

    def __init__(self, detail: str | None = None, **fields: Any) -> None:
        self.detail = detail or inspect.getdoc(type(self)) or "error"
        #: JSON-able facts for the caller: the field at fault, present and expected status …
        self.fields = fields
        super().__init__(self.detail)

    def to_payload(self) -> dict[str, Any]:
        return {"code": self.code, "detail": self.detail, "fields": self.fields}

    def __reduce__(self) -> tuple[Any, ...]:
        return (error_from_payload, (self.to_payload(),))


class Invalid(GatewayError):
    """A value of the request is malformed. Fields: `field`."""

    code = "invalid"


class Unstorable(Invalid):
    """The database does not take a value of the request."""

    code = "unstorable"


class Unauthorized(GatewayError):
    """The API key is missing or unknown."""

    code = "unauthorized"


class Forbidden(GatewayError):
    """The key or token does not allow that."""

    code = "forbidden"


class RateLimited(GatewayError):
    """Too many requests. Fields: `retry_after` (seconds)."""

    code = "rate_limited"


class NotFound(GatewayError):
    """There is no such thing."""

    code = "not_found"


class SessionNotFound(NotFound):
    """Session does not exist. Create it first: POST /api/sessions"""

    code = "session_not_found"


class SessionNotWorking(GatewayError):
    """Session status is not as expected. Try again later or restart the session"""

    code = "session_not_working"


class NotOnWhatsApp(GatewayError):
    """The number is not registered on WhatsApp."""

    code = "not_on_whatsapp"


class Conflict(GatewayError):
    """The request does not fit the present state. Read the state, then decide."""

    code = "conflict"


class BodyTooLarge(GatewayError):
    """The request body is over the limit."""

    code = "body_too_large"


class NotSupported(GatewayError):
    """WhatsApp's multi-device protocol, or the library, cannot do this."""

    code = "not_supported"


class WhatsAppRefused(GatewayError):
    """WhatsApp answered the request with an error."""

    code = "whatsapp_refused"


class NotPermitted(GatewayError):
    """WhatsApp does not let this account do that: it is no member, or no admin."""

    code = "not_permitted"


class Unavailable(GatewayError):
    """A part of the gateway is unreachable for the moment. Fields: `retry_after` (seconds)."""

    code = "unavailable"

    @property
    def retry_after(self) -> float:
        return float(self.fields.get("retry_after", 1.0))


class TooSlow(Unavailable):
    """A store did not finish in time."""

    code = "too_slow"


class NotReached(Unavailable):
    """The network between this machine and a store is cut: another machine may reach it."""

    code = "not_reached"


class NotOwner(Unavailable):
    """This process is no longer the owner of the session; the router finds the new one."""

    code = "not_owner"


def _tree(root: type[GatewayError]) -> dict[str, type[GatewayError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def error_from_payload(payload: dict[str, Any]) -> GatewayError:
    """Rebuild the exception that `to_payload` described, in another process."""
    kind = _tree(GatewayError).get(payload["code"], GatewayError)
    return kind(payload["detail"], **payload.get("fields", {}))
