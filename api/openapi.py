"""The OpenAPI document: WAHA's operation ids and tags, the keys, examples, and problem bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

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

__all__ = ["PATH", "install"]

PATH = "/openapi.json"

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
#: The groups in the order in which a newcomer needs them: a number is linked, then it sends, then
#: it hears; what runs the gateway comes last.
_TAGS = {
    "🖥️ Sessions": "A session is one linked WhatsApp account: create it, start, stop, unlink it.",
    "🔑 Auth": "Link a session to its phone: by QR code, or by a code that is typed there.",
    "📤 Chatting": "Send texts, files, places, polls and contacts; react, read, forward, star.",
    "🔄 Events": "What happens, as it happens: webhooks, a stream, a websocket, or asked for.",
    "💬 Chats": "The list of chats and their history; edit, delete, pin, archive.",
    "🖼️ Media": "Download the files of messages, upload and convert those to be sent.",
    "👥 Groups": "Create and join groups, their members, admins and settings.",
    "👤 Contacts": "Who is on WhatsApp, the address book, blocking; phone numbers and LIDs.",
    "✅ Presence": "Who is online or typing, and who may think so of the session.",
    "🆔 Profile": "The account's own name, text and picture.",
    "🟢 Status": "Post to the account's status (stories).",
    "📢 Channels": "Channels (newsletters): own, followed, and their posts.",
    "🏷️ Labels": "Labels of WhatsApp Business, on chats.",
    "📞 Calls": "Refuse calls that come in.",
    "📅 Events": "Send invitations to events of the calendar.",
    "🔑 Api Keys": "Keys for others, as narrow as need be, and the audit log.",
    "🔍 Observability": "Whether the gateway is well: health, version, metrics.",
    "🔭 Cluster": "Machines and owners of sessions; drain a machine before its maintenance.",
    "🧪 Sandbox": "Phones of the simulated WhatsApp, while the gateway runs against it.",
    "🖼️ Screenshot": "Of no use here: there is no browser to take a picture of.",
    "🧩 Apps": "The MCP server for agents, and other apps of sessions.",
}
#: Where WAHA's document has another success than its server and this one. Clients that are
#: generated from either find theirs.
_EITHER = frozenset(
    {
        "ChannelsController_searchByView",
        "ChannelsController_searchByText",
        "GroupsController_joinGroup",
        "GroupsController_refreshGroups",
        "GroupsController_leaveGroup",
        "GroupsController_revokeInviteCode",
        "GroupsController_addParticipants",
        "GroupsController_removeParticipants",
        "GroupsController_promoteToAdmin",
        "GroupsController_demoteToAdmin",
        "MediaController_convertVoice",
        "MediaController_convertVideo",
    }
)
_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


def install(app: FastAPI, *, public: frozenset[str]) -> None:
    """Make `app.openapi()` complete, and serve it at `PATH`. Operations on `public` paths need no
    key."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
            )
            parts = schema.setdefault("components", {})
            parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
            parts["securitySchemes"] = _SCHEMES
            schema["security"] = [{_SCHEME: []}, {_BEARER: []}]
            for path, operation in _operations(schema):
                _complete(operation, parts["schemas"], public=path in public)
            app.openapi_schema = schema
        return app.openapi_schema

    def written() -> bytes:
        return json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()

    app.openapi = document  # type: ignore[method-assign]
    writing: list[asyncio.Task[bytes]] = []

    @app.get(PATH, include_in_schema=False)
    async def serve() -> Response:
        # Seconds of work on a busy machine, while the loop has requests and health checks: once,
        # beside it. Who asked first may have gone when it is done.
        if not writing or (writing[0].done() and _failed(writing[0])):
            writing[:] = [asyncio.create_task(asyncio.to_thread(written), name="openapi")]
        return Response(await asyncio.shield(writing[0]), media_type="application/json")


def _failed(task: asyncio.Task[bytes]) -> bool:
    return task.cancelled() or task.exception() is not None


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
    if operation["operationId"] in _EITHER:
        given, other = ("200", "201") if "200" in answers else ("201", "200")
        answers[other] = answers[given] | {"description": f"As in WAHA's document; it is {given}."}
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
