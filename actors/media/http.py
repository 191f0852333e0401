"""HTTP to WhatsApp's media servers, by the way that the session's connection takes."""

from __future__ import annotations

import logging
import ssl
from functools import cache
from urllib.request import getproxies

import httpx

__all__ = ["CHUNK", "ORIGIN", "media_http", "outbound_proxy"]

# It logs every URL: who reads the logs need not know which attachments people get.
logging.getLogger("httpx").setLevel(logging.WARNING)

#: What WhatsApp's own web client says (whatsmeow: socket/constants.go).
ORIGIN = "https://web.whatsapp.com"
#: Bytes at a time.
CHUNK = 256 << 10
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


def outbound_proxy(proxy_url: str) -> str:
    """The proxy that the library uses: the session's, else the environment's; empty for none."""
    return proxy_url or getproxies().get("https", "")


def media_http(proxy_url: str) -> httpx.AsyncClient:
    """A client for one attachment."""
    return httpx.AsyncClient(
        proxy=outbound_proxy(proxy_url) or None, verify=_tls(), timeout=_TIMEOUT, trust_env=False
    )


@cache
def _tls() -> ssl.SSLContext:
    # Reading the roots takes a while, and they are the same for as long as the process lives.
    return ssl.create_default_context()
