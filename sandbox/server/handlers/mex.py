"""GraphQL in disguise: queries by number, variables and answers as JSON (whatsmeow: sendMexIQ)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.server.errors import IqError
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["Query", "query", "register"]

#: Gets the variables, gives `data`.
Query = Callable[["Server", Peer, dict[str, Any]], Awaitable[dict[str, Any]]]
_QUERIES: dict[str, Query] = {}


def query(*numbers: str) -> Callable[[Query], Query]:
    """Register for the numbers that a query has on the web and on other platforms."""

    def add(function: Query) -> Query:
        for number in numbers:
            _QUERIES[number] = function
        return function

    return add


def register(router: Router) -> None:
    router.iq("w:mex", "get", children=["query"])(_answer)


async def _answer(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    asked = node.child("query")
    number = asked.get("query_id") if asked else ""
    known = _QUERIES.get(number)
    if known is None or asked is None:
        server.journal.could_not_handle(f"w:mex {number}", str(node))
        return [_result({"data": {}})]
    try:
        variables = json.loads(asked.data).get("variables", {})
    except ValueError as error:
        raise IqError(400, "bad-request") from error
    return [_result({"data": await known(server, peer, variables)})]


def _result(answer: dict[str, Any]) -> Node:
    return Node.make("result", json.dumps(answer))
