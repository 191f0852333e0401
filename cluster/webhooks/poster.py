"""The POST of an event: bounded in time and size, to permitted addresses, never redirected."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

import aiohttp
from yarl import URL

from cluster.domain.errors import Invalid
from cluster.domain.outcome import Outcome
from cluster.media.addresses import allowed_networks
from cluster.media.guarded_resolver import GuardedResolver, guarded_session

__all__ = ["Poster"]

_AGENT = "whatsapp-session-gateway"
#: As much of an answer is read; the connection is only used again after a shorter one. Of that,
#: so many characters are kept in the delivery log.
_ANSWER_BYTES = 65_536
_EXCERPT = 200


class Poster:
    """Connections to receivers, kept open between requests. Belongs to one event loop."""

    def __init__(self, *, timeout: float, allow: str, connections: int) -> None:
        """`timeout`: seconds for one POST as a whole; `allow`: networks beside the public ones.
        Raises `ValueError` when these cannot be read."""
        self._timeout = timeout
        self._resolver = GuardedResolver(allowed_networks(allow))
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Try once. Every failure is an `Outcome`."""
        started = time.perf_counter()
        status: int | None = None
        wish: timedelta | None = None
        try:
            status, answer, wish = await self._request(url, body, headers)
            error = "" if 200 <= status < 300 else f"answered {status}: {answer}".rstrip(": ")
        except TimeoutError:
            error = f"no answer within {self._timeout:g} s"
        except Invalid as refused:
            error = refused.detail
        except (aiohttp.ClientError, OSError, ValueError) as broken:
            error = f"not reached: {str(broken) or type(broken).__name__}"
        took = timedelta(seconds=time.perf_counter() - started)
        return Outcome(status=status, error=error, took=took, retry_after=wish)

    async def _request(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str, timedelta | None]:
        target = URL(url)
        if target.scheme not in {"http", "https"} or not target.host:
            raise Invalid("the URL must begin with http:// or https://", field="url")
        # An address in the URL itself is not asked of the resolver.
        self._resolver.check(target.host or "")
        async with self._opened().post(
            target, data=body, headers=headers, allow_redirects=False
        ) as response:
            answer = await response.content.read(_ANSWER_BYTES)
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                answer = b""  # nobody asked for that
        text = " ".join(answer[: 4 * _EXCERPT].decode("utf-8", "replace").split())[:_EXCERPT]
        return response.status, text, _wish(response.headers.get("Retry-After", ""))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = guarded_session(
                self._resolver,
                agent=_AGENT,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                limit=self._connections,
                keepalive_timeout=30,
            )
        return self._session


def _wish(text: str) -> timedelta | None:
    short = text.isascii() and text.isdigit() and len(text) < 7
    return timedelta(seconds=int(text)) if short else None
