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
    #: It announced that it is online.
    available: bool
    #: Where its client reaches attachments: the name that stands in its answers.
    media_host: str

    @property
    def open(self) -> bool:
        """Its client is there: it neither said that it closes nor is its socket gone."""

    async def send(self, node: Node) -> None:
        """Send a stanza. A connection that is gone swallows it: the queue still has it."""

    async def end(self, node: Node | None = None) -> None:
        """Close, after a last stanza."""


class Peers:
    """The devices that are logged in."""

    def __init__(self, journal: Journal) -> None:
        self._peers: dict[tuple[str, int], Peer] = {}
        #: All that have not left, newest last: more than one of a device while it is replaced.
        self._there: dict[tuple[str, int], list[Peer]] = {}
        self._journal = journal

    def get(self, number: str, device: int) -> Peer | None:
        return self._peers.get((number, device))

    def of_account(self, number: str) -> list[Peer]:
        return [peer for (owner, _), peer in self._peers.items() if owner == number]

    def all(self) -> list[Peer]:
        return list(self._peers.values())

    def enter(self, peer: Peer) -> Peer | None:
        """Log a device in; gives the connection it replaces. That is none when its client has
        closed it, though what came through it may still be being handled."""
        key = (peer.number, peer.device)
        replaced = self._peers.get(key)
        self._peers[key] = peer
        self._there.setdefault(key, []).append(peer)
        self._count(key)
        return replaced if replaced is not None and replaced.open else None

    def leave(self, peer: Peer) -> bool:
        """Log a device out; False when another connection replaced it before."""
        key = (peer.number, peer.device)
        there = self._there.get(key, [])
        if peer in there:
            there.remove(peer)
        self._count(key)
        if not there:
            self._there.pop(key, None)
        if self._peers.get(key) is not peer:
            return False
        del self._peers[key]
        return True

    def _count(self, key: tuple[str, int]) -> None:
        number, device = key
        open_ones = sum(one.open for one in self._there.get(key, []))
        self._journal.connections(f"{number}:{device}", open_ones)
