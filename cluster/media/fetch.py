"""Files from URLs that callers give: bounded in size, time and redirects, public addresses only."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage
from pathlib import PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from yarl import URL

from cluster.domain.errors import Invalid
from cluster.media.addresses import allowed_networks
from cluster.media.guarded_resolver import GuardedResolver, guarded_session
from cluster.media.spool import LocalFile, Spool
from cluster.settings import MediaSettings

__all__ = ["Fetcher"]

_REDIRECTS = 5
_MOVED = {301, 302, 303, 307, 308}
_CONNECT_SECONDS = 10.0
#: Codings of HTTP that zlib reads -> its window.
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_PIECE = 1 << 20
_EXTENDED = re.compile(r";\s*filename\*\s*=\s*([\w-]+)'[^']*'([^;]+)", re.IGNORECASE)
_AGENT = "Mozilla/5.0 (compatible; whatsapp-session-gateway)"


class Fetcher:
    """Fetches over HTTP and HTTPS. One per process; keeps no connection open between requests."""

    def __init__(self, settings: MediaSettings) -> None:
        """Raises `ValueError` when the allowed networks cannot be read."""
        self._settings = settings
        self._resolver = GuardedResolver(allowed_networks(settings.fetch_allow))

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
        except aiohttp.ClientConnectorDNSError as error:
            raise Invalid("the URL's host has no address", field="url") from error
        except aiohttp.ClientOSError as error:
            raise Invalid("the URL's server cannot be reached", field="url") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise Invalid("the URL's server does not speak HTTP properly", field="url") from error

    async def _follow(self, url: str, spool: Spool, name: str) -> LocalFile:
        for _ in range(_REDIRECTS + 1):
            async with self._get(url) as response:
                headers = {k.lower().decode(): v.decode("latin-1") for k, v in response.raw_headers}
                if response.status in _MOVED and "location" in headers:
                    url = urljoin(url, headers["location"])
                    continue
                if response.status != 200:
                    raise Invalid(f"the URL answered {response.status}", field="url")
                return await spool.take(
                    name,
                    _plain(response.content.iter_any(), headers.get("content-encoding", "")),
                    mimetype=headers.get("content-type", "").partition(";")[0].strip().lower(),
                    filename=_filename(url, headers),
                )
        raise Invalid("the URL redirects too often", field="url")

    @asynccontextmanager
    async def _get(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Invalid("the URL must begin with http:// or https://", field="url")
        host = parts.hostname.encode("idna").decode() if ":" not in parts.hostname else ""
        place = host or f"[{parts.hostname}]"
        # An address in the URL itself, in whatever letters, is not asked of the resolver.
        self._resolver.check(place)
        port = f":{parts.port}" if parts.port else ""
        target = parts.path or "/"
        clean = f"{parts.scheme}://{place}{port}{_quoted(target)}"
        if parts.query:
            clean += f"?{_quoted(parts.query)}"
        async with (
            guarded_session(
                self._resolver,
                agent=_AGENT,
                timeout=aiohttp.ClientTimeout(
                    sock_connect=_CONNECT_SECONDS, sock_read=self._settings.fetch_timeout_seconds
                ),
                force_close=True,
            ) as session,
            session.get(URL(clean, encoded=True), allow_redirects=False) as response,
        ):
            yield response


def _quoted(text: str) -> str:
    """Only what HTTP cannot carry is quoted: what was quoted already stays."""
    return "".join(
        char if 0x20 < ord(char) < 0x7F else "".join(f"%{b:02X}" for b in char.encode())
        for char in text
    )


async def _plain(parts: AsyncIterable[bytes], encoding: str) -> AsyncIterator[bytes]:
    """What the server compressed although it was not asked to, as it was. Raises `Invalid`."""
    codings = [c for c in encoding.lower().replace(" ", "").split(",") if c not in {"", "identity"}]
    if not codings:
        async for part in parts:
            yield part
        return
    if len(codings) > 1 or codings[0] not in _WINDOWS:
        raise Invalid(f"the URL's server compresses by {encoding[:64]}", field="url")
    inflater = zlib.decompressobj(_WINDOWS[codings[0]])
    try:
        async for part in parts:
            data = part
            while data:
                # In pieces: little can unpack to a lot.
                yield inflater.decompress(data, _PIECE)
                data = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise Invalid("the URL's file is not compressed as its server says", field="url") from error
    if not inflater.eof:
        raise Invalid("the URL's file ends too early", field="url")


def _extended(disposition: str) -> str:
    """`filename*` (RFC 6266, 4.3; RFC 8187); empty without one that can be read."""
    found = _EXTENDED.search(disposition)
    if found is None:
        return ""
    try:
        return unquote(found[2].strip(), encoding=found[1], errors="strict")
    except (LookupError, UnicodeDecodeError):
        return ""


def _filename(url: str, headers: dict[str, str]) -> str:
    if disposition := headers.get("content-disposition"):
        if extended := _extended(disposition):
            return PurePosixPath(extended.replace("\\", "/")).name[:255]
        disposition = _EXTENDED.sub("", disposition)
        with suppress(UnicodeError):
            # Many servers write UTF-8 where the standard has Latin-1.
            disposition = disposition.encode("latin-1").decode("utf-8")
        message = EmailMessage()
        message["Content-Disposition"] = disposition.replace("\n", " ").replace("\r", " ")
        if name := message.get_filename():
            return PurePosixPath(name.replace("\\", "/")).name[:255]
    return PurePosixPath(unquote(urlsplit(url).path)).name[:255]
