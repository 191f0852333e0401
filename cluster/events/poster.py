"""The POST of an event: bounded in time and size, to permitted addresses, never redirected."""

from __future__ import annotations

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpcore
import httpx

from cluster.domain.errors import Invalid
from cluster.media.addresses import GuardedBackend, allowed_networks

__all__ = ["Outcome", "Poster"]

_AGENT = "whatsapp-session-gateway"
#: As much of an answer is read; the connection is only used again after a shorter one.
_ANSWER_BYTES = 65_536
_TOLD_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one try."""

    #: HTTP status; None when there was no answer.
    status: int | None
    #: Why it counts as failed; empty when it succeeded.
    error: str
    took: timedelta
    #: The receiver's wish (`Retry-After` in seconds).
    retry_after: timedelta | None = None

    @property
    def delivered(self) -> bool:
        return not self.error


class Poster:
    """Connections to receivers, kept open between requests. Belongs to one event loop."""

    def __init__(self, *, timeout: float, allow: str, connections: int) -> None:
        """`timeout`: seconds for one POST as a whole; `allow`: networks beside the public ones.
        Raises `ValueError` when these cannot be read."""
        self._timeout = timeout
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            network_backend=GuardedBackend(allowed_networks(allow)),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30,
        )

    async def close(self) -> None:
        await self._pool.aclose()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Try once. Every failure is an `Outcome`."""
        started = time.perf_counter()
        status: int | None = None
        wish: timedelta | None = None
        try:
            async with asyncio.timeout(self._timeout):
                status, answer, wish = await self._request(url, body, headers)
            error = "" if 200 <= status < 300 else f"answered {status}: {answer}".rstrip(": ")
        except TimeoutError:
            error = f"no answer within {self._timeout:g} s"
        except Invalid as refused:
            error = refused.detail
        except (httpcore.NetworkError, httpcore.TimeoutException, ssl.SSLError) as broken:
            error = f"not reached: {str(broken) or type(broken).__name__}"
        except (httpcore.ProtocolError, httpx.InvalidURL, ValueError) as broken:
            error = f"does not speak HTTP: {str(broken) or type(broken).__name__}"
        took = timedelta(seconds=time.perf_counter() - started)
        return Outcome(status=status, error=error, took=took, retry_after=wish)

    async def _request(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str, timedelta | None]:
        parsed = httpx.URL(url)
        sent = {"Host": parsed.netloc.decode(), "User-Agent": _AGENT, "Accept": "*/*"}
        sent["Content-Length"] = str(len(body))
        if parsed.userinfo:
            login = f"{parsed.username}:{parsed.password}".encode()
            sent["Authorization"] = f"Basic {b64encode(login).decode()}"
        sent |= headers
        target = httpcore.URL(
            scheme=parsed.raw_scheme,
            host=parsed.raw_host,
            port=parsed.port,
            target=parsed.raw_path,
        )
        raw = [(name.encode(), value.encode("utf-8", "replace")) for name, value in sent.items()]
        async with self._pool.stream("POST", target, headers=raw, content=body) as response:
            answer = b""
            async for chunk in response.aiter_stream():
                answer += chunk
                if len(answer) >= _ANSWER_BYTES:
                    break
        told = answer[: 4 * _TOLD_CHARACTERS].decode("utf-8", "replace")[:_TOLD_CHARACTERS]
        return response.status, " ".join(told.split()), _wish(response.headers)


def _wish(headers: list[tuple[bytes, bytes]]) -> timedelta | None:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 7:
            return timedelta(seconds=int(value))
    return None
