"""Parts of WAHA that are not offered: their paths say why, instead of not being there."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from api.problems import responses
from api.router import Router
from cluster.domain.errors import NotSupported, Unauthorized

__all__ = ["router"]

router = Router(tags=["🧩 Apps"], responses=responses(NotSupported, Unauthorized))

_PASSKEY = "the library has no pairing by passkey: use the QR code or a pairing code"
_CACHE = "there is no such cache: GET /api/contacts/check-exists asks WhatsApp"
_COUNTRIES = (
    "argentine-phone-numbers",
    "brazilian-phone-numbers",
    "mexican-phone-numbers",
    "phone-numbers",
)
#: (method, path, WAHA's operation, why)
_PATHS = [
    ("GET", "/api/{session}/auth/passkey/challenge", "Auth_getPasskeyChallenge", _PASSKEY),
    ("POST", "/api/{session}/auth/passkey", "Auth_submitPasskey", _PASSKEY),
    ("GET", "/api/{session}/auth/passkey/confirmation", "Auth_getPasskeyConfirmation", _PASSKEY),
    ("POST", "/api/{session}/auth/passkey/confirm", "Auth_confirmPasskey", _PASSKEY),
    (
        "GET",
        "/api/sessions/{session}/capping",
        "Sessions_fetchMessageCapping",
        "the library has no query of message limits",
    ),
    (
        "GET",
        "/api/sessions/{session}/timelock",
        "Sessions_fetchReachoutTimelock",
        "the library has no query of the reach-out time lock",
    ),
    *(
        (method, f"/api/apps/{country}/{{session}}/cache/{part}", f"{country}_{part}", _CACHE)
        for country in _COUNTRIES
        for method, part in (
            ("GET", "memory"),
            ("GET", "db"),
            ("GET", "stats"),
            ("DELETE", "purge"),
        )
    ),
]


def _refuse(why: str) -> Callable[[], Awaitable[NoReturn]]:
    async def refuse() -> NoReturn:
        raise NotSupported(why)

    return refuse


def _parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


for _method, _path, _operation, _why in _PATHS:
    router.add_api_route(
        _path,
        _refuse(_why),
        methods=[_method],
        operation_id=_operation,
        summary="Not offered",
        description=f"Always 501: {_why}.",
        status_code=501,
        response_model=None,
        openapi_extra={"parameters": _parameters(_path)},
    )
