"""Who is there: logged-in connections and phones, one interface for both."""

from __future__ import annotations

from typing import Protocol

from sandbox.server.journal import Journal
from sandbox.wire.node import Node

__all__ = ["Peer", "Peers"]


class Peer(Protocol):
    """One logged-in device."""

    number: str
    device: int
    #: It asked for what waits for it, and has got it: stanzas may be sent as they come.
    active: bool
    #: It told others that it is online.
    available: bool

    async def send(self, node: Node) -> None:
        """Send a stanza. A connection that is gone swallows it: the queue still has it."""

    async def end(self, node: Node | None = None) -> None:
        """Close, after a last stanza."""


class Peers:
    """The devices that are logged in."""

    def __init__(self, journal: Journal) -> None:
        self._peers: dict[tuple[str, int], Peer] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self._journal = journal

    def get(self, number: str, device: int) -> Peer | None:
        return self._peers.get((number, device))

    def of_account(self, number: str) -> list[Peer]:
        return [peer for (owner, _), peer in self._peers.items() if owner == number]

    def all(self) -> list[Peer]:
        return list(self._peers.values())

    def enter(self, peer: Peer) -> Peer | None:
        """Log a device in; gives the connection it replaces."""
        key = (peer.number, peer.device)
        replaced = self._peers.get(key)
        self._peers[key] = peer
        self._counts[key] = self._counts.get(key, 0) + 1
        self._journal.connections(f"{peer.number}:{peer.device}", self._counts[key])
        return replaced

    def leave(self, peer: Peer) -> bool:
        """Log a device out; False when another connection replaced it before."""
        key = (peer.number, peer.device)
        self._counts[key] = self._counts.get(key, 1) - 1
        if self._peers.get(key) is not peer:
            return False
        del self._peers[key]
        return True
