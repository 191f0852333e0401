"""The OpenAPI document: WAHA's operation ids and tags, the keys, examples, and problem bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.openapi_examples import example_of
from api.problems import Problem, responses
from cluster.domain.errors import (
    BodyTooLarge,
    Forbidden,
    GatewayError,
    Invalid,
    RateLimited,
    Unauthorized,
    Unavailable,
)

__all__ = ["install"]

#: WAHA's name of the scheme.
_SCHEME = "api_key"
_BEARER = "bearer"
_SCHEMES = {
    _SCHEME: {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "The gateway's own key, or one of `POST /api/keys`.",
    },
    _BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the issuer that the gateway is set to trust (`JWT_…`).",
    },
}
_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


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
            parts["securitySchemes"] = _SCHEMES
            schema["security"] = [{_SCHEME: []}, {_BEARER: []}]
            for path, operation in _operations(schema):
                _complete(operation, parts["schemas"], public=path in public)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, operation


def _complete(operation: dict[str, Any], schemas: dict[str, Any], *, public: bool) -> None:
    """What holds for every operation: who may ask, how it may be refused, how it looks."""
    errors: list[type[GatewayError]] = [Unavailable]
    if public:
        operation["security"] = []
    else:
        errors += [Unauthorized, Forbidden, RateLimited]
    if "requestBody" in operation:
        errors += [BodyTooLarge]
    if "requestBody" in operation or operation.get("parameters"):
        errors += [Invalid]
    answers = operation["responses"]
    # FastAPI's own body of a refused request, which this gateway never gives.
    if "HTTPValidationError" in str(answers.get("422", "")):
        del answers["422"]
    for status, answer in responses(*errors).items():
        answers.setdefault(str(status), answer)
    contents = [operation.get("requestBody", {}).get("content", {})]
    contents += [answer.get("content", {}) for answer in answers.values()]
    for content in contents:
        body = content.get("application/json")
        if body is not None and not {"example", "examples"} & body.keys():
            body["example"] = example_of(body.get("schema", {}), schemas)
