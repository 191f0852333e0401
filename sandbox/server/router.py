"""Which handler answers which stanza."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from sandbox.server.errors import IqError
from sandbox.server.peer import Peer
from sandbox.wire.jid import SERVER_JID
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["IqHandler", "Router", "StanzaHandler"]

#: Gives the children of the result; None or empty: a result without any.
IqHandler = Callable[["Server", Peer, Node], Awaitable[Sequence[Node] | None]]
StanzaHandler = Callable[["Server", Peer, Node], Awaitable[None]]


class Router:
    """Handlers by namespace, type and child of an iq, and by tag of everything else."""

    def __init__(self) -> None:
        self._iqs: dict[tuple[str, str, str], IqHandler] = {}
        self._stanzas: dict[str, StanzaHandler] = {}

    def iq(
        self, xmlns: str, *types: str, children: Sequence[str] = ("*",)
    ) -> Callable[[IqHandler], IqHandler]:
        """For iqs of a namespace, of these types, whose first child has one of the tags."""

        def register(handler: IqHandler) -> IqHandler:
            for kind in types or ("get", "set"):
                for child in children:
                    self._iqs[xmlns, kind, child] = handler
            return handler

        return register

    def stanza(self, tag: str) -> Callable[[StanzaHandler], StanzaHandler]:
        """Register for stanzas with that tag."""

        def register(handler: StanzaHandler) -> StanzaHandler:
            self._stanzas[tag] = handler
            return handler

        return register

    async def handle(self, server: Server, peer: Peer, node: Node) -> None:
        """Handle a stanza of a logged-in device, and answer it."""
        if node.tag == "iq":
            if node.get("type") in ("get", "set"):
                await self._answer(server, peer, node)
            return
        handler = self._stanzas.get(node.tag)
        if handler is None:
            server.journal.could_not_handle(node.tag, str(node))
            return
        await handler(server, peer, node)

    async def _answer(self, server: Server, peer: Peer, node: Node) -> None:
        xmlns, kind = node.get("xmlns"), node.get("type")
        first = next((child.tag for child in node.children()), "")
        handler = self._iqs.get((xmlns, kind, first)) or self._iqs.get((xmlns, kind, "*"))
        sender = node.attrs.get("to") or SERVER_JID
        if handler is None:
            server.journal.could_not_handle(f"iq {xmlns} {kind} {first}".strip(), str(node))
            await peer.send(Node.make("iq", id=node.get("id"), type="result", from_=sender))
            return
        try:
            content = await handler(server, peer, node)
        except IqError as error:
            refusal = Node.make("error", code=error.code, text=error.text)
            await peer.send(
                Node.make("iq", [refusal], id=node.get("id"), type="error", from_=sender)
            )
            return
        await peer.send(
            Node.make("iq", content or None, id=node.get("id"), type="result", from_=sender)
        )
