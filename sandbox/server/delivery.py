"""Stanzas wait for their device until it acknowledges them, whether it is connected or not."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.server.directory import Directory
from sandbox.server.journal import Journal
from sandbox.server.peer import Peer, Peers
from sandbox.server.store import Store
from sandbox.wire import codec
from sandbox.wire.jid import SERVER_JID
from sandbox.wire.node import Node

__all__ = ["Delivery"]


class Delivery:
    """The way of a stanza to a device."""

    def __init__(self, store: Store, peers: Peers, directory: Directory, journal: Journal) -> None:
        self._store = store
        self._peers = peers
        self._directory = directory
        self._journal = journal

    def keep(self, number: str, device: int, node: Node) -> bool:
        """Write a stanza down for a device; False when there is no such device."""
        if self._directory.device(number, device) is None:
            self._journal.note("no such device", device=f"{number}:{device}", stanza=node.tag)
            return False
        self._store.enqueue(number, device, node.tag, _key(node, "from"), codec.encode(node))
        return True

    async def push(self, number: str, device: int, node: Node) -> None:
        """Send a stanza that is kept, if its device is there."""
        peer = self._peers.get(number, device)
        if peer is not None and peer.active:
            await peer.send(node)

    async def deliver(self, number: str, device: int, node: Node) -> None:
        """Keep and push."""
        if self.keep(number, device, node):
            await self.push(number, device, node)

    async def to_account(self, number: str, node: Node, *, but: int | None = None) -> None:
        """To every device of an account, the phone included."""
        for device in list(self._directory.devices(number)):
            if device != but:
                await self.deliver(number, device, node)

    async def flush(self, peer: Peer) -> None:
        """Send what waits, between its preview and its end, and then stanzas as they come."""
        waiting = self._store.queued(peer.number, peer.device)
        tags = [item.tag for item in waiting]
        preview = Node.make(
            "offline_preview",
            count=len(waiting),
            message=tags.count("message"),
            receipt=tags.count("receipt"),
            notification=tags.count("notification"),
            appdata=0,
        )
        await peer.send(Node.make("ib", [preview], from_=SERVER_JID))
        last = 0
        # Whatever is kept while this runs is sent by this, so that the order is the queue's.
        while waiting:
            for item in waiting:
                node = codec.decode(item.stanza)
                node.attrs["offline"] = "0"
                await peer.send(node)
                last = item.position
            waiting = [
                item
                for item in self._store.queued(peer.number, peer.device)
                if item.position > last
            ]
        peer.active = True
        await peer.send(Node.make("ib", [Node.make("offline", count=len(tags))], from_=SERVER_JID))

    def has_message(self, peer: Peer, ids: Iterable[str]) -> None:
        """The device acknowledged these messages by a receipt."""
        self._store.dequeue(peer.number, peer.device, "message", list(ids))

    def acknowledged(self, peer: Peer, ack: Node) -> None:
        """The device acknowledged a stanza: it need not wait any more."""
        tag = ack.get("class")
        self._store.dequeue(peer.number, peer.device, tag, [_key(ack, "to", tag)])


def _key(node: Node, other: str, tag: str = "") -> str:
    """What an acknowledgement repeats of its stanza. Receipts of one message share its id."""
    if (tag or node.tag) != "receipt":
        return node.get("id")
    parts = (node.get("id"), node.get("type"), node.get("participant") or node.get(other))
    return "/".join(parts)
