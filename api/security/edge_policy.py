"""What holds for every request and answer: addresses, pages of other origins, headers."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.console import CONTENT_SECURITY_POLICY
from api.problems import ELSEWHERE, problem_response
from api.security.caller import header_of
from cluster.domain.errors import Forbidden
from cluster.settings import FrontSettings

__all__ = ["EdgePolicy"]

#: What Helmet sets, https://helmetjs.github.io, for an API: nothing of it is a page to be framed.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-DNS-Prefetch-Control": "off",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
#: Swagger UI starts from a script in its page.
_DOCS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
_CONSOLE = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
_RAW_INGRESS = b"x-gateway-ingress"
#: Characters of an address: IPv6 with the name of an interface (RFC 4007).
_LONGEST = 64
_RAW_ELSEWHERE = ELSEWHERE.lower().encode()
_EXPOSED = ["X-Request-Id", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining"]
Networks = Sequence[IPv4Network | IPv6Network]
RawHeaders = Sequence[tuple[bytes, bytes]]


class EdgePolicy:
    """The settings of the front, applied."""

    def __init__(self, settings: FrontSettings, *, ingress_secret: str = "") -> None:
        """`ingress_secret`: what our own HAProxy sends when it has appended to `X-Forwarded-For`
        who called it; others who reach a replica are not believed. Empty: there is none."""
        self._ingress_secret = ingress_secret.encode()
        self._allow = settings.networks("allow")
        self._control = settings.networks("control_allow")
        self._proxies = settings.networks("trusted_proxies")
        self._origins = [o.strip() for o in settings.cors_origins.split(",") if o.strip()]
        self._headers = dict(_HEADERS)
        if settings.hsts_seconds:
            self._headers["Strict-Transport-Security"] = (
                f"max-age={settings.hsts_seconds}; includeSubDomains"
            )
        if self._origins:
            self._headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        self._raw = _raw(self._headers)
        self._raw_console = _raw(self._headers | _CONSOLE)
        self._raw_docs = _raw(self._headers | _DOCS)

    def install(self, app: FastAPI) -> None:
        """Put it before whatever `app` has by now."""
        if self._origins:
            # No credentials: what a browser sends by itself is no key here.
            app.add_middleware(
                CORSMiddleware,
                allow_origins=self._origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=_EXPOSED,
                max_age=600,
            )
        app.add_middleware(_EdgePolicyMiddleware, policy=self)

    def admits(self, address: str) -> bool:
        return _within(address, self._allow)

    def controls(self, address: str) -> bool:
        """Whether the control plane may be used from there."""
        return _within(address, self._control)

    def address(self, scope: Scope, *, by_haproxy: bool) -> str:
        """The caller's: of those in `X-Forwarded-For` the last that is no proxy of ours.
        `by_haproxy`: see there."""
        client = scope.get("client")
        address = str(client[0]) if client else ""
        given = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        forwarded = str(b",".join(given), "latin-1").split(",")
        if by_haproxy and _is_address(forwarded[-1].strip()):
            address = forwarded.pop().strip()
        while self._proxies and _within(address, self._proxies) and forwarded:
            nearest = forwarded.pop().strip()
            if not _is_address(nearest):
                break
            address = nearest
        return address

    def scheme(self, scope: Scope, *, by_haproxy: bool) -> str:
        """By which the caller came: that of `X-Forwarded-Proto` from proxies of ours."""
        scheme = (header_of(scope, b"x-forwarded-proto") or "").strip()
        passed_on = by_haproxy or self._by_proxy(scope)
        if scheme not in {"http", "https", "ws", "wss"} or not passed_on:
            return str(scope.get("scheme", "http"))
        return scheme.replace("http", "ws") if scope["type"] == "websocket" else scheme

    def _by_proxy(self, scope: Scope) -> bool:
        """Whether one of those that the settings name passed it on."""
        client = scope.get("client")
        return bool(self._proxies) and client is not None and _within(str(client[0]), self._proxies)

    def by_haproxy(self, scope: Scope) -> bool:
        """Whether our own HAProxy passed the request on."""
        if not self._ingress_secret:
            return False
        proofs = [value for name, value in scope["headers"] if name == _RAW_INGRESS]
        return hmac.compare_digest(proofs[0] if proofs else b"", self._ingress_secret)

    def headers(self, path: str) -> RawHeaders:
        """What an answer has besides its own, as ASGI has it."""
        if path.startswith("/console"):
            return self._raw_console
        return self._raw_docs if path.startswith("/docs") else self._raw


class _EdgePolicyMiddleware:
    def __init__(self, app: ASGIApp, *, policy: EdgePolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        by_haproxy = self._policy.by_haproxy(scope)
        address = self._policy.address(scope, by_haproxy=by_haproxy)
        scope["scheme"] = self._policy.scheme(scope, by_haproxy=by_haproxy)
        # Nothing behind this may repeat it.
        scope["headers"] = [one for one in scope["headers"] if one[0] != _RAW_INGRESS]
        scope.setdefault("state", {})["address"] = address
        headers = self._policy.headers(scope["path"])

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                present = {name.lower() for name, _ in given}
                if _RAW_ELSEWHERE in present:
                    given = [one for one in given if one[0].lower() != _RAW_ELSEWHERE]
                    if by_haproxy:
                        # It tries another replica if it may (ops/ingress/repeatable.cfg).
                        message["status"] = HTTPStatus.TOO_EARLY
                message["headers"] = [*given, *(one for one in headers if one[0] not in present)]
            await send(message)

        if self._policy.admits(address):
            await self._app(scope, receive, with_headers)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "Forbidden"})
        else:
            error = Forbidden("the gateway is not to be had from this address")
            response = problem_response(error, scope["state"].get("request_id", ""))
            await response(scope, receive, with_headers)


def _raw(headers: dict[str, str]) -> RawHeaders:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _is_address(text: str) -> bool:
    return _parsed(text) is not None


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    # What is kept of what strangers write is small.
    return _kept(text) if len(text) <= _LONGEST else None


@lru_cache(1024)
def _kept(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _within(address: str, networks: Networks) -> bool:
    """Without networks: everything."""
    if not networks:
        return True
    found = _parsed(address)
    if found is None:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in network for network in networks)
