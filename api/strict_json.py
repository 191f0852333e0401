"""What counts as a JSON body here: UTF-8, shallow, finite, and storable as PostgreSQL text.

Python's parser is more generous (NaN, UTF-16, lone surrogates, any depth); what slips in by that
generosity fails later, in a store, as a server error. A form (`application/x-www-form-urlencoded`,
which WAHA takes as well) counts as the JSON object of its fields.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from api.problems import MalformedJson
from api.security.authorization import AuthorizedRoute
from api.security.caller import count_session
from cluster.domain.errors import Invalid

__all__ = ["StrictJsonRoute", "kind_of", "parse_form", "parse_json", "with_json"]

MAX_DEPTH = 32
_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 4096
#: Levels of `a[b][c]` in the name of a form's field.
_MAX_NESTING = 6
_NAME = re.compile(r"([^\[\]]{1,64})((?:\[[^\[\]]{0,64}\])*)\Z")


class StrictJsonRoute(AuthorizedRoute):
    """A route whose JSON body went through `parse_json`."""

    def handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().handler()
        if self.body_field is None:
            return handle

        async def handle_strictly(request: Request) -> Response:
            # Before the framework's own reading, which would turn our errors into its own.
            async with self.body_of(request) as read:
                strict = _StrictJsonRequest(read.scope, read.receive)
                strict._body = await read.body()
                if strict._body:
                    _check_content_type(strict.headers.get("content-type", ""))
                    await count_session(strict, await strict.json())
                return await handle(strict)

        return handle_strictly

    @asynccontextmanager
    async def body_of(self, request: Request) -> AsyncIterator[Request]:
        """The request to be read, as long as it is answered."""
        if kind_of(request) == _FORM and (body := await request.body()):
            fields = parse_form(body)
            request = with_json(request, json.dumps(fields).encode())
        yield request


def parse_json(body: bytes) -> Any:
    """Raises `MalformedJson` when `body` is no JSON, `Invalid` when it is JSON of a kind that is
    not taken: deeper than `MAX_DEPTH`, NaN or infinite numbers, NUL or lone surrogates in text."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise MalformedJson(f"the body is not UTF-8 (byte {error.start})", field="body") from error
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"the body is not JSON: {error.msg} at character {error.pos}", field="body"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # more digits than int() reads
        raise Invalid("the body holds a number that is too long", field="body") from error
    if text.count("[") + text.count("{") > MAX_DEPTH or "\\u" in text:
        _check_tree(value)
    return value


def parse_form(body: bytes) -> dict[str, Any]:
    """The fields of a form, as PHP and `curl -d` write them: `a[b]=` is an object, `a[]=`, `a[0]=`
    and a name that is there twice are lists. Values are text; the models read numbers and
    `true` out of it. Raises `Invalid`."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except UnicodeDecodeError as error:
        raise MalformedJson("the form is not UTF-8", field="body") from error
    except ValueError as error:
        raise Invalid(f"the form has more than {_MAX_FIELDS} fields", field="body") from error
    fields: dict[str, Any] = {}
    for name, value in pairs:
        match = _NAME.match(name)
        if match is None or match[2].count("[") > _MAX_NESTING:
            raise Invalid("the form has a field whose name is none", field="body")
        keys = [match[1], *match[2].replace("]", "").split("[")[1:]]
        _put(fields, keys, value)
    return {name: _listed(value) for name, value in fields.items()}


def _put(fields: dict[str, Any], keys: list[str], value: str) -> None:
    """`keys` is the path to the value; empty ones count on."""
    here = fields
    for key in keys[:-1]:
        inner = here.setdefault(key or str(len(here)), {})
        if not isinstance(inner, dict):
            raise _twice(keys[0])
        here = inner
    last = keys[-1] or str(len(here))
    present = here.get(last)
    if present is None:
        here[last] = value
    elif isinstance(present, dict):
        raise _twice(keys[0])
    else:
        here[last] = [*(present if isinstance(present, list) else [present]), value]


def _listed(value: Any) -> Any:
    """What has numbers for names is a list."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(child) for key, child in value.items()}
    if all(key.isdecimal() and len(key) < 10 for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def _twice(name: str) -> Invalid:
    return Invalid("the form has it as a value and as more", field=_printable(name))


def with_json(request: Request, body: bytes) -> Request:
    """The request as if `body` was what it came with."""
    headers = [
        (name, value)
        for name, value in request.scope["headers"]
        if name not in {b"content-type", b"content-length"}
    ]
    headers += [(b"content-type", b"application/json")]
    headers += [(b"content-length", str(len(body)).encode())]
    read = Request({**request.scope, "headers": headers}, request.receive)
    read._body = body
    return read


def kind_of(request: Request) -> str:
    """The media type of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class _StrictJsonRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_strict_json"):
            self._strict_json = parse_json(await self.body())
        return self._strict_json


def _check_content_type(value: str) -> None:
    kind = value.partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise Invalid("the body must be JSON: Content-Type: application/json", field="Content-Type")


def _no_constant(name: str) -> NoReturn:
    raise Invalid(f"the body holds {name}, which is no JSON number", field="body")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Invalid("the body holds a number that is too large", field="body")
    return number


def _too_deep() -> Invalid:
    return Invalid(f"the body is nested deeper than {MAX_DEPTH} levels", field="body")


def _check_tree(value: Any) -> None:
    stack: list[tuple[Any, int, str]] = [(value, 0, "")]
    while stack:
        node, depth, path = stack.pop()
        if isinstance(node, str):
            _check_text(node, path)
        elif isinstance(node, dict | list):
            if depth >= MAX_DEPTH:
                raise _too_deep()
            items = node.items() if isinstance(node, dict) else enumerate(node)
            for key, child in items:
                inner = f"{path}.{key}" if path else str(key)
                if isinstance(key, str):
                    _check_text(key, path or "body")
                stack.append((child, depth + 1, inner))


def _check_text(text: str, path: str) -> None:
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise Invalid(
            "text must not hold NUL or half of a surrogate pair", field=_printable(path) or "body"
        )


def _printable(path: str) -> str:
    return "".join(char for char in path if char.isprintable())[:200]
