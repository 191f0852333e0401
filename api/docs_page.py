"""Swagger UI at `/docs` from files of an installed package: the page asks no CDN for anything."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

__all__ = ["PUBLIC", "install"]

_ASSETS = "/docs/assets"
#: Served without a key: a browser cannot send one with a page, and the page shows no secret.
PUBLIC = frozenset({"/", "/docs", "/openapi.json", f"{_ASSETS}/"})


def install(app: FastAPI) -> None:
    """Add the page, and `/` leading to it. `app` must have been made with `docs_url=None`."""
    # fastapi-offline carries the files of swagger-ui-dist; its own app class is not needed.
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
            swagger_ui_parameters={"persistAuthorization": True},
        )

    @app.get("/", include_in_schema=False)
    async def root(request: Request) -> RedirectResponse:
        """Browsers come to see the console, programs to learn the API."""
        browser = "text/html" in request.headers.get("Accept", "")
        return RedirectResponse("console/" if browser else "/docs")
