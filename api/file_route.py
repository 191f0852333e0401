"""Routes that take files: in JSON as base64, or in a form. Either goes to disk as it streams in."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import PurePosixPath
from typing import Any

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.requests import Request

from api.body_sizes import takes_file
from api.inline_files import FileTaker
from api.strict_json import StrictJsonRoute, kind_of, with_json
from cluster.domain.errors import Invalid
from cluster.media.spool import LocalFile, Spool, SpoolWriter

__all__ = ["FORM", "FileRoute", "file_behind"]

#: Bodies of this size and more are looked through for files, bytes.
_LARGE = 64 << 10
_MAX_REMAINDER = 1 << 20
_MAX_FILES = 8
_MAX_FIELDS = 64
#: Fields that are objects with `mimetype`, `filename` and `data`.
_OBJECTS = {"file", "picture", "headerImage"}
_CHUNK = 256 << 10
_FORM = "multipart/form-data"
_FIELDS = "application/x-www-form-urlencoded"

#: The files of the request at hand, by the token that stands for each in its body.
_files: ContextVar[dict[str, LocalFile]] = ContextVar("files_of_the_request")

#: For `openapi_extra` of such routes: the same fields as a form.
FORM: dict[str, Any] = {
    "requestBody": {
        "content": {
            _FORM: {
                "schema": {
                    "type": "object",
                    "description": "The fields of the JSON body (`name[]` for one that is a list, "
                    "JSON with a content type of `application/json`), and the file itself.",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "additionalProperties": True,
                }
            }
        }
    }
}


def file_behind(token: str) -> LocalFile | None:
    """The file for which `token` stands in the body of the request at hand; valid as long as it
    is answered."""
    return _files.get({}).get(token)


class FileRoute(StrictJsonRoute):
    """A route some of whose paths take files (`api.body_sizes`)."""

    @asynccontextmanager
    async def body_of(self, request: Request) -> AsyncIterator[Request]:
        kind = kind_of(request)
        is_large = kind != _FIELDS and _is_large(request.headers)
        if not takes_file(request.url.path) or not (kind == _FORM or is_large):
            async with super().body_of(request) as read:
                yield read
            return
        # Of what the files may be together, the limit on the request's body has judged already.
        async with Spool(request.app.state.media.max_bytes) as spool:
            found: dict[str, LocalFile] = {}
            parse = _form if kind == _FORM else _json
            body = await parse(request, spool, found)
            reset = _files.set(found)
            try:
                yield with_json(request, body)
            finally:
                _files.reset(reset)


def _is_large(headers: Headers) -> bool:
    length = headers.get("content-length", "")
    return not (length.isascii() and length.isdigit()) or int(length) >= _LARGE


async def _json(request: Request, spool: Spool, found: dict[str, LocalFile]) -> bytes:
    writers: dict[str, SpoolWriter] = {}

    def begin() -> tuple[str, SpoolWriter]:
        if len(writers) >= _MAX_FILES:
            raise Invalid(f"the body holds more than {_MAX_FILES} files", field="body")
        token = f"file:{secrets.token_hex(16)}"
        writers[token] = spool.writer(token)
        return token, writers[token]

    taker = FileTaker(begin, limit=_MAX_REMAINDER)
    try:
        async for part in request.stream():
            taker.update(part)
        body = taker.finish()
    finally:
        for token, writer in writers.items():
            found[token] = writer.done()
    return body


async def _form(request: Request, spool: Spool, found: dict[str, LocalFile]) -> bytes:
    # What is no form is refused by the framework (400).
    async with request.form(max_files=_MAX_FILES, max_fields=_MAX_FIELDS) as form:
        return json.dumps(await _fields(form, spool, found)).encode()


async def _fields(form: FormData, spool: Spool, found: dict[str, LocalFile]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        taken: Any = value
        if isinstance(value, UploadFile):
            taken = await _part(value, name, spool, found)
        if name.endswith("[]"):
            fields.setdefault(name.removesuffix("[]"), []).append(taken)
        elif name in fields:
            raise Invalid(f"the form has two fields {name[:64]!r}", field=name[:64])
        else:
            fields[name] = taken
    return fields


async def _part(
    part: UploadFile, name: str, spool: Spool, found: dict[str, LocalFile]
) -> dict[str, Any] | str | Any:
    mimetype = (part.content_type or "").partition(";")[0].strip().lower()
    if mimetype == "application/json" and name not in _OBJECTS:
        try:
            return json.loads(await part.read(_MAX_REMAINDER))
        except (ValueError, RecursionError) as error:
            raise Invalid(f"{name[:64]!r} is not JSON", field=name[:64]) from error
    token = f"file:{secrets.token_hex(16)}"
    filename = PurePosixPath((part.filename or "").replace("\\", "/")).name[:255]
    found[token] = await spool.take(token, _chunks(part), mimetype=mimetype, filename=filename)
    # Where a body has its file at the top, the field is called as it is there: `data`.
    if name not in _OBJECTS:
        return token
    return {"data": token, "mimetype": part.content_type, "filename": filename or None}


async def _chunks(part: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await part.read(_CHUNK):
        yield chunk
