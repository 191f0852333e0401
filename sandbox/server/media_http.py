"""The media hosts: encrypted attachments over HTTPS (whatsmeow: upload.go, download.go)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.server.errors import SandboxError
from sandbox.server.journal import Journal
from sandbox.server.media_hosts import MEDIA_HOST
from sandbox.server.media_store import MediaStore

__all__ = ["media_application"]

_MAX_BYTES = 128 << 20
_MAX_QR = 4096


def media_application(
    store: MediaStore, journal: Journal, scan: Callable[[str], Awaitable[object]]
) -> Starlette:
    """The application behind every media host name. `scan`: what a phone does with a QR code."""

    async def scan_qr(request: Request) -> Response:
        """The bare code; no token: whoever has it may show it to any phone here."""
        body = await request.body()
        try:
            await scan(body[:_MAX_QR].decode(errors="replace").strip())
        except SandboxError as error:
            return JSONResponse({"detail": error.detail}, status_code=error.status)
        return Response(status_code=204)

    async def upload(request: Request) -> Response:
        """`POST /mms/<type>/<token>`: the token is the blob's SHA-256 in URL-safe base64."""
        blob = bytearray()
        async for part in request.stream():
            blob += part
            if len(blob) > _MAX_BYTES:
                return Response(status_code=413)
        token = str(request.path_params["token"])
        try:
            expected = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except binascii.Error:
            return Response(status_code=400)
        if hashlib.sha256(blob).digest() != expected:
            return Response("the token is not the hash of the body", status_code=400)
        path = f"/v/{expected.hex()}"
        store.put(path, bytes(blob))
        journal.note("media uploaded", path=path, bytes=len(blob))
        direct = f"{path}?ccb=1"
        return JSONResponse(
            {
                "url": f"https://{request.headers.get('host', MEDIA_HOST)}{direct}",
                "direct_path": direct,
                "handle": expected.hex()[:16],
                "object_id": expected.hex()[:16],
            }
        )

    async def download(request: Request) -> Response:
        blob = store.get(request.url.path)
        journal.note("media downloaded", path=request.url.path, found=blob is not None)
        if blob is None:
            return Response(status_code=404)
        return Response(blob, media_type="application/octet-stream")

    return Starlette(
        routes=[
            Route("/admin/mock-phone/scan-qr", scan_qr, methods=["POST"]),
            Route("/{kind:path}/{token}", upload, methods=["POST"]),
            Route("/{path:path}", download, methods=["GET"]),
        ]
    )
