"""How every error looks on the wire: the one table from the error tree to HTTP.

Bodies are RFC 9457 problem details with the keys WAHA's clients read (`statusCode`, `error`,
`message`) beside them. An unforeseen exception shows its request id and nothing else.
"""

from __future__ import annotations

import inspect
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from cluster.domain.errors import (
    BodyTooLarge,
    Conflict,
    Forbidden,
    GatewayError,
    Invalid,
    NotFound,
    NotOnWhatsApp,
    NotPermitted,
    NotReached,
    NotSupported,
    RateLimited,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = [
    "ELSEWHERE",
    "MalformedJson",
    "Problem",
    "SessionExists",
    "install",
    "problem_response",
    "responses",
    "unforeseen",
]

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Of an answer that another replica may have a better one than this: not for callers.
ELSEWHERE = "X-Gateway-Elsewhere"


class MalformedJson(Invalid):
    """The body is not JSON."""

    code = "malformed_json"


class SessionExists(Conflict):
    """The session exists already. Use PUT to update it."""

    code = "session_exists"


#: A class without an entry has its parent's.
STATUS: dict[type[GatewayError], int] = {
    Invalid: 422,
    MalformedJson: 400,
    Unauthorized: 401,
    Forbidden: 403,
    RateLimited: 429,
    NotFound: 404,
    SessionNotFound: 404,
    SessionNotWorking: 422,
    NotOnWhatsApp: 422,
    NotPermitted: 403,
    Conflict: 409,
    SessionExists: 422,  # as WAHA
    BodyTooLarge: 413,
    NotSupported: 501,
    WhatsAppRefused: 502,
    Unavailable: 503,  # NotOwner too
    GatewayError: 500,
}

#: The words NestJS (thus WAHA) uses where Python's differ.
_PHRASES = {413: "Payload Too Large", 422: "Unprocessable Entity"}


class Problem(BaseModel):
    """An error: RFC 9457 problem details, with WAHA's keys beside them."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URN of the kind of problem.")
    title: str = Field(description="The kind of problem, for people.")
    status: int | str = Field(
        description="HTTP status. For `session_not_working` the session's status, as WAHA "
        "answers; `statusCode` is always the HTTP status."
    )
    detail: str = Field(description="What went wrong this time, and what to do about it.")
    code: str = Field(description="Stable name of the kind of problem.")
    requestId: str = Field(description="Find the request in the logs by it.")
    statusCode: int = Field(description="HTTP status.")
    error: str = Field(description="HTTP status in words, or WAHA's own sentence.")
    message: str = Field(description="The same as `detail`.")
    field: str | None = Field(None, description="The value at fault, for `invalid`.")


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem body."""

    async def gateway_error(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, GatewayError):
            raise error
        return problem_response(error, _request_id(request))

    async def validation_error(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise error
        return problem_response(_invalid(error), _request_id(request))

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise error
        return _http_problem(error, request)

    app.add_exception_handler(GatewayError, gateway_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error)


def problem_response(error: GatewayError, request_id: str) -> JSONResponse:
    """The answer to `error`, with `Retry-After` or `WWW-Authenticate` where they belong."""
    status = _status(type(error))
    headers = {}
    if isinstance(error, NotReached):
        headers[ELSEWHERE] = "1"
    if isinstance(error, Unavailable | RateLimited):
        headers["Retry-After"] = str(max(1, math.ceil(error.fields.get("retry_after", 1))))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'ApiKey realm="gateway", Bearer realm="gateway"'
    if status >= 500:
        log.warning("http.problem", code=error.code, status=status, detail=error.detail)
    return JSONResponse(
        _body(error, status, request_id), status, headers=headers, media_type=MEDIA_TYPE
    )


def unforeseen(request_id: str) -> JSONResponse:
    """The answer to an exception that nobody foresaw; the log has it under `request_id`."""
    body = _standard(
        "internal",
        "The gateway failed in a way nobody foresaw.",
        500,
        f"Internal error; the logs of the gateway say more under request id {request_id}",
        request_id,
    )
    return JSONResponse(body, 500, media_type=MEDIA_TYPE)


def responses(*errors: type[GatewayError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for a route that can fail with `errors`, with true examples."""
    kinds: dict[int, list[type[GatewayError]]] = defaultdict(list)
    for error in errors:
        kinds[_status(error)].append(error)
    return {
        status: {
            "description": " ".join(_headline(kind) for kind in members),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {kind.code: {"value": _example(kind)} for kind in members},
                }
            },
        }
        for status, members in kinds.items()
    }


_EXAMPLES: dict[type[GatewayError], dict[str, Any]] = {
    Invalid: {"detail": "chatId is not a chat id", "field": "chatId"},
    SessionNotWorking: {
        "session": "default",
        "status": "STOPPED",
        "expected": ["WORKING"],
        "hint": "start it: POST /api/sessions/default/start",
    },
    Unavailable: {"retry_after": 2},
}


def _example(kind: type[GatewayError]) -> dict[str, Any]:
    facts = _EXAMPLES.get(kind, {})
    return _body(kind(**facts), _status(kind), "7f0c1c62-9d0e-4f0e-8a53-1f2b6f0d8f11")


def _status(kind: type[GatewayError]) -> int:
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def _headline(kind: type[GatewayError]) -> str:
    first = (inspect.getdoc(kind) or kind.__name__).splitlines()[0].partition(" Fields:")[0]
    return first if first.endswith(".") else f"{first}."


def _standard(code: str, title: str, status: int, detail: str, request_id: str) -> dict[str, Any]:
    return {
        "type": f"urn:gateway:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": request_id,
        "statusCode": status,
        "error": _PHRASES.get(status) or HTTPStatus(status).phrase,
        "message": detail,
    }


def _body(error: GatewayError, status: int, request_id: str) -> dict[str, Any]:
    facts = {_camel(name): value for name, value in error.fields.items()}
    body = facts | _standard(error.code, _headline(type(error)), status, error.detail, request_id)
    if isinstance(error, SessionNotWorking):
        # WAHA's clients look for the session's status here. RFC 9457 (3.1) lets a reader of
        # problem details ignore a `status` that is no number; `statusCode` keeps it.
        body["error"] = _headline(SessionNotWorking).rstrip(".")
        body["status"] = facts.get("status", status)
        if "hint" not in body:
            body["hint"] = _hint(str(facts.get("session", "")), body["status"])
    return body


def _hint(session: str, status: Any) -> str:
    """What to do about a session that is not in the status a request needs."""
    return {
        "STOPPED": f"start it: POST /api/sessions/{session}/start",
        "STARTING": "it is about to work: try again in a few seconds",
        "SCAN_QR_CODE": f"link a phone: GET /api/{session}/auth/qr",
        "WORKING": "it is linked already; to link another account: "
        f"POST /api/sessions/{session}/logout",
        "FAILED": f"read why (GET /api/sessions/{session}), then "
        f"POST /api/sessions/{session}/restart",
    }.get(str(status), f"look at it: GET /api/sessions/{session}")


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def _invalid(error: RequestValidationError) -> Invalid:
    found = [(_field(entry["loc"]), str(entry["msg"])) for entry in error.errors()]
    # The values themselves stay out: they can be phone numbers or secrets.
    return Invalid(
        "; ".join(f"{field}: {message}" for field, message in found[:5]),
        field=found[0][0],
        errors=[{"field": field, "message": message} for field, message in found],
    )


def _field(location: Iterable[str | int]) -> str:
    place, *path = location
    return ".".join(str(part) for part in path) or str(place)


def _http_problem(error: HTTPException, request: Request) -> JSONResponse:
    """What the framework itself refuses: no such path, no such method."""
    status = error.status_code
    if status == 404:
        code, detail = "not_found", f"There is no {request.method} on this path"
    elif status == 405:
        code, detail = "method_not_allowed", f"This path has no {request.method}"
    else:
        code, detail = "bad_request" if status < 500 else "internal", str(error.detail)
    body = _standard(code, HTTPStatus(status).phrase, status, detail, _request_id(request))
    return JSONResponse(body, status, headers=error.headers, media_type=MEDIA_TYPE)
