"""Files: conversion, upload before sending, and download."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from api.file_route import FORM, FileRoute
from api.media_types import prefers_json
from api.models.auth import Base64File
from api.models.files import given
from api.models.media import ConvertRequest, Uploaded
from api.params import SessionPath
from api.problems import responses
from api.ranges import read_range
from api.references import reference
from api.router import Router
from client.session import SessionClient
from client.workshop import UPLOAD_SCHEME
from cluster.domain.errors import (
    BodyTooLarge,
    Invalid,
    NotFound,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)
from cluster.media.media_types import is_shown, safe_media_type
from cluster.media.prepare import Kind

__all__ = ["router"]

router = Router(
    tags=["🖼️ Media"],
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)
# The whole path stands at the route: by it the table of what a route takes knows it.
_files = Router(prefix="/api")
_json = Router(prefix="/api", route_class=FileRoute)
#: Bytes; a multiple of three, so that the base64 of parts is that of the whole.
_CHUNK = 192 << 10
_Responses = dict[int | str, dict[str, Any]]
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_Accept = Annotated[str, Header(include_in_schema=False)]
_BY_ACCEPT = "The file itself, or its base64 with `Accept: application/json`."
_VOICE, _VIDEO = "audio/ogg; codecs=opus", "video/mp4"
_OPUS: _Responses = {200: {"content": {"audio/ogg": _BINARY}}}
_MP4: _Responses = {200: {"content": {"video/mp4": _BINARY}}}
_FILE: _Responses = {
    200: {"content": {"application/octet-stream": _BINARY}},
    206: {"description": "The part that `Range` asked for.", "content": {"*/*": _BINARY}},
}


@_json.post(
    "/{session}/media/convert/voice",
    openapi_extra=FORM,
    operation_id="MediaController_convertVoice",
    summary="Convert voice to WhatsApp format (opus)",
    description=_BY_ACCEPT,
    response_model=Base64File,
    responses=_OPUS | responses(BodyTooLarge),
)
async def convert_voice(
    session: SessionPath, body: ConvertRequest, accept: _Accept = ""
) -> StreamingResponse:
    return await _converted(session, "audio", body, _VOICE, prefers_json(accept, over="audio/"))


@_json.post(
    "/{session}/media/convert/video",
    openapi_extra=FORM,
    operation_id="MediaController_convertVideo",
    summary="Convert video to WhatsApp format (mp4)",
    description=_BY_ACCEPT,
    response_model=Base64File,
    responses=_MP4 | responses(BodyTooLarge),
)
async def convert_video(
    session: SessionPath, body: ConvertRequest, accept: _Accept = ""
) -> StreamingResponse:
    return await _converted(session, "video", body, _VIDEO, prefers_json(accept, over="video/"))


@_files.post(
    "/{session}/media/upload",
    operation_id="MediaController_upload",
    summary="Upload a file to send it later",
    description="The body is the file itself (`curl --data-binary @film.mp4`): it streams through, "
    "whatever its size. The answer's `url` is good as `file.url` in every request that sends. "
    "Ours, not WAHA's.",
    status_code=201,
    responses=responses(BodyTooLarge),
    openapi_extra={"requestBody": {"content": {"*/*": _BINARY}, "required": True}},
)
async def upload(
    request: Request,
    session: SessionPath,
    filename: Annotated[str, Query(max_length=255)] = "",
    content_type: Annotated[str, Header(max_length=255)] = "application/octet-stream",
) -> Uploaded:
    kept = await session.media.upload(
        request.stream(),
        mimetype=content_type,
        filename=PurePosixPath(filename.replace("\\", "/")).name,
    )
    return Uploaded(
        url=f"{UPLOAD_SCHEME}{kept.key.rpartition('/')[2]}",
        mimetype=kept.mimetype,
        filename=kept.filename,
        size=kept.size,
    )


@_files.head("/files/{session}/{file}", include_in_schema=False)
async def head_of_file(
    session: SessionPath, file: Annotated[str, Path(max_length=300)]
) -> Response:
    """What `get_file` would say, without the file."""
    answer = await get_file(session, file)
    return Response(status_code=200, headers=dict(answer.headers))


@_files.get(
    "/files/{session}/{file}",
    operation_id="MediaController_getFile",
    summary="Get the file of a message",
    description="The `media.url` of messages leads here. A received file that the gateway does not "
    "hold is fetched from WhatsApp first, for which the session has to work. Ranges are served.",
    response_class=StreamingResponse,
    responses=_FILE | responses(NotFound, SessionNotWorking, WhatsAppRefused),
)
async def get_file(
    session: SessionPath,
    file: Annotated[
        str,
        Path(
            max_length=300,
            description="Message id, with or without the ending of the file's type",
            openapi_examples={"it": {"value": "false_11111111111@c.us_3EB0AAAAAAAAAAAA.jpeg"}},
        ),
    ],
    range_header: Annotated[str, Header(alias="Range", max_length=200)] = "",
) -> StreamingResponse:
    meant, stored = await session.media.file(reference(_without_ending(file), "file"))
    mimetype = safe_media_type(meant.mimetype)
    name = meant.filename or file
    shown = is_shown(mimetype)
    headers = {
        "Content-Disposition": f"{'inline' if shown else 'attachment'}; "
        f"filename*=UTF-8''{quote(name, safe='')}",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "ETag": f'"{meant.sha256}"',
        # What strangers sent must not run as a page of ours.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    part = read_range(range_header, stored.size)
    offset, length = part or (0, stored.size)
    if part is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{stored.size}"
    headers["Content-Length"] = str(length)
    bytes_of_file = session.media.read(stored, offset=offset, length=length if part else 0)
    return StreamingResponse(
        bytes_of_file,
        status_code=206 if part is not None else 200,
        media_type=mimetype if shown else "application/octet-stream",
        headers=headers,
    )


async def _converted(
    session: SessionClient, kind: Kind, body: ConvertRequest, media_type: str, as_json: bool
) -> StreamingResponse:
    if bool(body.url) is bool(body.data):
        raise Invalid("either url or data is needed", field="url")
    # Open until the last byte is out: the file is in the spool's folder.
    spool = await session.workshop.spool().__aenter__()
    try:
        made = await session.media.convert(kind, given(body.url, body.data), spool)
    except BaseException:
        await spool.__aexit__(None, None, None)
        raise

    async def parts() -> AsyncIterator[bytes]:
        try:
            with made.path.open("rb") as opened:
                if as_json:
                    yield b'{"mimetype":' + json.dumps(media_type).encode() + b',"data":"'
                while part := opened.read(_CHUNK):
                    yield base64.b64encode(part) if as_json else part
                if as_json:
                    yield b'"}'
        finally:
            await spool.__aexit__(None, None, None)

    if as_json:
        return StreamingResponse(parts(), media_type="application/json")
    return StreamingResponse(
        parts(), media_type=media_type, headers={"Content-Length": str(made.size)}
    )


def _without_ending(file: str) -> str:
    """`…@c.us_3EB0AA.jpeg` and `…_4915@c.us.jpeg` without what stands for the type."""
    stem, dot, ending = file.rpartition(".")
    known_part = ending in {"us", "net"} or not ending.isalnum() or len(ending) > 5
    return file if not dot or known_part else stem


for part in (_json, _files):
    router.include_router(part)
