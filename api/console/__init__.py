"""The web console at `/console/`: built files, which call nothing but this gateway.

Sources are in `console/`; `static/` is what Vite made of them. The page carries no secret and is
open to all: what it shows it asks the API for, with the key that the person typed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

__all__ = ["CONTENT_SECURITY_POLICY", "PAGE", "PUBLIC", "STATIC", "install"]

_PATH = "/console"
PAGE = f"{_PATH}/"
STATIC = Path(__file__).parent / "static"
#: Served without a key: a browser cannot send one with a page.
PUBLIC = frozenset({_PATH, PAGE})
#: Scripts, styles and fonts of our own only, no inline script, nothing from any other host.
#: Pictures and recordings are fetched with the key and shown as blobs.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data: blob:",
        "media-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def install(app: FastAPI) -> None:
    """Serve the console."""

    @app.get(_PATH, include_in_schema=False)
    async def console() -> RedirectResponse:
        # Relative: a proxy may serve the gateway below a prefix.
        return RedirectResponse("console/")

    app.mount(_PATH, _Console(directory=STATIC, html=True), name="console")


class _Console(StaticFiles):
    """Names of assets have a hash of their contents; the page names the assets."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, *more: Any) -> Response:
        response = super().file_response(full_path, stat_result, scope, *more)
        built = "/assets/" in str(full_path)
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if built else "no-cache"
        )
        return response
