"""Where attachments are uploaded to: the host, and the token that it wants.

The library asks WhatsApp for both (`<media_conn>`, whatsmeow mediaconn.go) and keeps them to
itself; its own upload holds a file three times in memory. What it does say: the URL of an upload
that failed to connect (Go's `url.Error` names it). So it is asked to upload one byte by way of a
proxy that refuses every connection: nothing is sent, and its complaint holds the host and the
token. For that moment downloads of the library fail to connect as well; it tries those again by
itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qs

from neonize._binder import ProxySettings, gocode
from neonize.aioze.client import NewAClient
from neonize.exc import UploadError
from neonize.proto.Neonize_pb2 import UploadReturnFunction
from neonize.utils.enum import MediaType

from actors.media.http import outbound_proxy

__all__ = ["MediaHost", "MediaHosts", "parse_upload_error"]

#: Seconds. WhatsApp lets clients keep the answer for five minutes, and the library does.
_GOOD_FOR = 60.0
_UPLOAD_ERROR = re.compile(r'Post "https://(?P<host>[^/"]+)/mms/[^"?]*\?(?P<query>[^"]*)"')
_QUERY = re.compile(r'\?[^"\s]*')


@dataclass(frozen=True, slots=True)
class MediaHost:
    """A server that takes this account's uploads."""

    #: `host` or `host:port`
    name: str
    #: the account's token there
    auth: str = field(repr=False)


class MediaHosts:
    """One per client."""

    def __init__(self, proxy_url: str) -> None:
        self._proxy_url = proxy_url
        self._one_at_a_time = asyncio.Lock()
        self._known: MediaHost | None = None
        self._asked_at = 0.0

    async def get(
        self,
        call: Callable[[Callable[[NewAClient], Awaitable[MediaHost]]], Awaitable[MediaHost]],
        *,
        anew: bool = False,
    ) -> MediaHost:
        """`call`: how the library is used (`Device.call`). `anew`: what was got before is refused
        by the server. Raises what `call` raises, `UploadError` when the library says nothing."""
        async with self._one_at_a_time:
            fresh = time.monotonic() - self._asked_at < _GOOD_FOR
            if self._known is None or anew or not fresh:
                self._known = await call(self._ask)
                self._asked_at = time.monotonic()
            return self._known

    async def _ask(self, library: NewAClient) -> MediaHost:
        return await asyncio.to_thread(_ask, library.uuid, outbound_proxy(self._proxy_url))


def parse_upload_error(text: str) -> MediaHost:
    """The host and token in the library's error. Raises `UploadError` when they are not in it."""
    found = _UPLOAD_ERROR.search(text)
    auth = parse_qs(found["query"]).get("auth", [""])[0] if found else ""
    if found is None or not auth:
        # Whatever it is, no token of it gets into a log.
        raise UploadError(_QUERY.sub("?…", text))
    return MediaHost(found["host"], auth)


def _ask(uuid: bytes, proxy_url: str) -> MediaHost:
    _media_proxy(uuid, f"http://127.0.0.1:{_refusing_port()}")
    try:
        answer = UploadReturnFunction.FromString(
            gocode.Upload(uuid, b"\0", 1, MediaType.MediaImage.value)
        )
    finally:
        _media_proxy(uuid, proxy_url)
    return parse_upload_error(answer.Error or "the upload by nowhere succeeded")


def _media_proxy(uuid: bytes, address: str) -> None:
    """Media goes by this proxy from now on; the websocket stays as it is."""
    settings = ProxySettings(address, no_websocket=True)._to_c_struct()
    if error := gocode.SetProxyAddress(uuid, ctypes.byref(settings)):
        raise UploadError(f"the library takes no proxy: {error.decode()}")


@cache
def _reserved() -> socket.socket:
    # Bound and never listening: nobody else can have the port, and who connects is refused.
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    return reserved


def _refusing_port() -> int:
    return int(_reserved().getsockname()[1])
