"""What counts as a JSON body here: UTF-8, shallow, finite, and storable as PostgreSQL text.

Python's parser is more generous (NaN, UTF-16, lone surrogates, any depth); what slips in by that
generosity fails later, in a store, as a server error.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.problems import MalformedJson
from api.security.caller import count_session
from cluster.domain.errors import Invalid

__all__ = ["StrictJsonRoute", "parse_json"]

MAX_DEPTH = 32


class StrictJsonRoute(APIRoute):
    """A route whose JSON body went through `parse_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
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
