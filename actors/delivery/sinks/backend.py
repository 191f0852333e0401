"""The operator's backend: JSON by POST, signed with a JWT that soon expires."""

from __future__ import annotations

import hashlib
import time
import uuid

import jwt

from actors.delivery.sinks.sink import SinkError, SinkRecord
from cluster.settings import BackendSettings
from cluster.webhooks.poster import Poster

__all__ = ["Backend"]

_ISSUER = "whatsapp-session-gateway"
#: The operator's own setting may lead anywhere.
_ANYWHERE = "0.0.0.0/0,::/0"


class Backend:
    """Sends to the configured URL. A sink for events of sessions, and used for those of workers."""

    def __init__(self, settings: BackendSettings) -> None:
        self._settings = settings
        self._poster = Poster(timeout=settings.timeout_seconds, allow=_ANYWHERE, connections=16)

    async def put(self, record: SinkRecord) -> None:
        """Raises `SinkError` unless the backend answers 2xx."""
        await self.send(record.body, subject=f"session:{record.session}", id=record.id)

    async def send(self, body: bytes, *, subject: str, id: str = "") -> None:
        """Raises `SinkError` unless the backend answers 2xx."""
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._token(body, subject, id or str(uuid.uuid4()))}",
        }
        outcome = await self._poster.post(self._settings.url, body, headers)
        if not outcome.delivered:
            raise SinkError(f"backend: {outcome.error}")

    async def close(self) -> None:
        await self._poster.close()

    def _token(self, body: bytes, subject: str, id: str) -> str:
        """For this body only: whoever sees it can send nothing else with it."""
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "sub": subject,
            "jti": id,
            "iat": now,
            "exp": now + int(self._settings.token_seconds),
            "body_sha256": hashlib.sha256(body).hexdigest(),
        }
        return jwt.encode(claims, self._settings.jwt_secret.get_secret_value(), algorithm="HS256")
