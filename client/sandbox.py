"""The sandbox beside the gateway: its control API, for whoever operates a gateway in sandbox mode.

Addresses and token are read from the file that the sandbox writes when it starts, each time: a
restart makes a new token.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from cluster.domain.errors import Conflict, Invalid, NotFound, Unavailable
from cluster.settings import WhatsAppSettings

__all__ = ["SandboxControl"]

_SECONDS = 45.0


class SandboxControl:
    """Calls of the control API, see docs/sandbox.md."""

    def __init__(self, settings: WhatsAppSettings) -> None:
        self._settings = settings

    @property
    def there(self) -> bool:
        """The gateway is in sandbox mode, and knows where the sandbox writes its address."""
        return self._settings.sandbox and bool(self._settings.sandbox_control_file)

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON; None without any. Raises `NotFound`, `Conflict`, `Invalid` as the
        sandbox says, and `Unavailable` when it is unreachable."""
        answer = await self._request(method, path, body)
        return answer.json() if answer.content else None

    async def download(self, path: str) -> bytes:
        """The answer's bytes. Raises like `call`."""
        return (await self._request("GET", path, None)).content

    async def _request(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        if not self.there:
            raise NotFound("this gateway is not in sandbox mode")
        try:
            endpoints = json.loads(Path(self._settings.sandbox_control_file).read_text())  # noqa: ASYNC240
            async with httpx.AsyncClient(
                base_url=endpoints["control_url"],
                headers={"Authorization": f"Bearer {endpoints['control_token']}"},
                timeout=_SECONDS,
                trust_env=False,
            ) as client:
                answer = await client.request(method, path, json=body)
        except (OSError, ValueError, KeyError, httpx.HTTPError) as error:
            raise Unavailable("the sandbox does not answer", retry_after=2) from error
        if answer.is_success:
            return answer
        detail = _detail(answer)
        if answer.status_code == 404:
            raise NotFound(detail)
        if answer.status_code == 409:
            raise Conflict(detail)
        if answer.status_code < 500:
            raise Invalid(detail)
        raise Unavailable(f"the sandbox failed: {detail}", retry_after=2)


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail")
    except (ValueError, AttributeError):
        detail = None
    return detail if isinstance(detail, str) else f"the sandbox answered {answer.status_code}"
