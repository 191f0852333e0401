"""The OpenAPI document: WAHA's operation ids and tags, the key, and the problem body."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import Problem

__all__ = ["install"]

#: WAHA's name of the scheme.
_SCHEME = "api_key"


def install(app: FastAPI, *, public: frozenset[str]) -> None:
    """Make `app.openapi()` complete. Operations on `public` paths need no key."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            parts = schema.setdefault("components", {})
            parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
            parts["securitySchemes"] = {
                _SCHEME: {"type": "apiKey", "in": "header", "name": "X-Api-Key"}
            }
            schema["security"] = [{_SCHEME: []}]
            for path in public & schema["paths"].keys():
                for operation in schema["paths"][path].values():
                    operation["security"] = []
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
