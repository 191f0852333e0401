"""Files from URLs that callers give: bounded in size, time and redirects, public addresses only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

import httpcore

from cluster.domain.errors import Invalid
from cluster.media.addresses import GuardedBackend, allowed_networks
from cluster.media.spool import LocalFile, Spool
from cluster.settings import MediaSettings

__all__ = ["Fetcher"]

_REDIRECTS = 5
_MOVED = {301, 302, 303, 307, 308}
_CONNECT_SECONDS = 10.0
_AGENT = b"Mozilla/5.0 (compatible; whatsapp-session-gateway)"


class Fetcher:
    """Fetches over HTTP and HTTPS. One per process; keeps no connection open between requests."""

    def __init__(self, settings: MediaSettings) -> None:
        """Raises `ValueError` when the allowed networks cannot be read."""
        self._settings = settings
        self._allowed = allowed_networks(settings.fetch_allow)
        self._tls: ssl.SSLContext | None = None

    async def fetch(
        self, url: str, spool: Spool, name: str = "file", *, seconds: float | None = None
    ) -> LocalFile:
        """Fetch into a spool. Raises `Invalid` naming `url` for everything that the URL is to
        blame for, and `BodyTooLarge`."""
        limit = seconds or self._settings.fetch_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._follow(url, spool, name)
        except TimeoutError as error:
            raise Invalid(f"the URL did not answer within {limit:g} s", field="url") from error
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise Invalid("the URL's server cannot be reached", field="url") from error
        except (httpcore.ProtocolError, ssl.SSLError, ValueError) as error:
            raise Invalid("the URL's server does not speak HTTP properly", field="url") from error

    async def _follow(self, url: str, spool: Spool, name: str) -> LocalFile:
        for _ in range(_REDIRECTS + 1):
            async with self._get(url) as response:
                headers = {k.lower().decode(): v.decode("latin-1") for k, v in response.headers}
                if response.status in _MOVED and "location" in headers:
                    url = urljoin(url, headers["location"])
                    continue
                if response.status != 200:
                    raise Invalid(f"the URL answered {response.status}", field="url")
                return await spool.take(
                    name,
                    response.aiter_stream(),
                    mimetype=headers.get("content-type", "").partition(";")[0].strip().lower(),
                    filename=_filename(url, headers),
                )
        raise Invalid("the URL redirects too often", field="url")

    @asynccontextmanager
    async def _get(self, url: str) -> AsyncIterator[httpcore.Response]:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Invalid("the URL must begin with http:// or https://", field="url")
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        host = parts.hostname.encode("idna").decode() if ":" not in parts.hostname else ""
        place = host or f"[{parts.hostname}]"
        port = f":{parts.port}" if parts.port else ""
        target = parts.path or "/"
        clean = f"{parts.scheme}://{place}{port}{_quoted(target)}"
        if parts.query:
            clean += f"?{_quoted(parts.query)}"
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._tls, network_backend=GuardedBackend(self._allowed)
            ) as pool,
            pool.stream(
                "GET",
                clean,
                headers=[(b"User-Agent", _AGENT), (b"Accept", b"*/*")],
                extensions={
                    "timeout": {
                        "connect": _CONNECT_SECONDS,
                        "read": self._settings.fetch_timeout_seconds,
                    }
                },
            ) as response,
        ):
            yield response


def _quoted(text: str) -> str:
    """Only what HTTP cannot carry is quoted: what was quoted already stays."""
    return "".join(
        char if 0x20 < ord(char) < 0x7F else "".join(f"%{b:02X}" for b in char.encode())
        for char in text
    )


def _filename(url: str, headers: dict[str, str]) -> str:
    if disposition := headers.get("content-disposition"):
        message = EmailMessage()
        message["Content-Disposition"] = disposition.replace("\n", " ").replace("\r", " ")
        if name := message.get_filename():
            return PurePosixPath(name.replace("\\", "/")).name[:255]
    return PurePosixPath(unquote(urlsplit(url).path)).name[:255]
