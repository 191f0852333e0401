"""Which session goes into which pack: a pure function of the cluster as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Cluster", "Move", "NewPack", "Node", "PackLoad", "Plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node that is alive."""

    id: str
    #: Slots it offers: sessions, or sessions that packs have reserved room for.
    slots: int
    #: It takes sessions.
    open: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPack:
    """A pack that is to be made."""

    node: str
    capacity: int


@dataclass(kw_only=True, slots=True)
class PackLoad:
    """A pack on a node that is alive. Without an id: one that the plan makes."""

    id: int = 0
    node: str
    capacity: int
    sessions: set[int] = field(default_factory=set)
    #: It takes no more sessions.
    worn: bool = False

    @property
    def room(self) -> int:
        return 0 if self.worn else self.capacity - len(self.sessions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A session that is to change its pack. Where to is decided when it moves."""

    session: int
    #: Pack that it leaves.
    pack: int


@dataclass(kw_only=True, slots=True)
class Plan:
    """Where sessions go: pack id → sessions, and the packs to be made with theirs."""

    places: dict[int, list[int]] = field(default_factory=dict)
    new: list[tuple[NewPack, list[int]]] = field(default_factory=list)
    #: No node has room for these.
    left: list[int] = field(default_factory=list)


class Cluster:
    """Nodes and packs. Plans change it, so that one may follow another."""

    def __init__(
        self, nodes: Iterable[Node], packs: Iterable[PackLoad], *, sessions_per_actor: int
    ) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._packs = [pack for pack in packs if pack.node in self._nodes]
        self._per_actor = sessions_per_actor

    def place(
        self,
        sessions: Iterable[int],
        *,
        avoid: Mapping[int, int] | None = None,
        off: Collection[str] = (),
    ) -> Plan:
        """A place for each: on the node with the least load that has room, there in the fullest
        pack that has (processes cost memory), else in a new one. `avoid`: session → pack that it
        shall not go to; `off`: nodes that none shall go to."""
        avoid = avoid or {}
        plan = Plan()
        made: list[PackLoad] = []
        for session in sessions:
            pack = self._best(avoid.get(session, -1), off)
            if pack is None:
                plan.left.append(session)
                continue
            if not pack.id and pack not in made:
                made.append(pack)
                self._packs.append(pack)
            if pack.id:
                plan.places.setdefault(pack.id, []).append(session)
            pack.sessions.add(session)
        plan.new = [
            (NewPack(node=pack.node, capacity=pack.capacity), sorted(pack.sessions))
            for pack in made
        ]
        return plan

    def leaving(self) -> list[Move]:
        """Sessions of packs that are to become empty: worn, or on a node that takes none."""
        return [
            Move(session=session, pack=pack.id)
            for pack in self._packs
            if pack.worn or not self._nodes[pack.node].open
            for session in sorted(pack.sessions)
        ]

    def uneven(self, movable: Collection[int]) -> list[Move]:
        """The moves after which all nodes that take sessions have the same load, within one
        session and a tenth. Only `movable` ones: those that are well where they are."""
        load = {node.id: self._load(node) for node in self._nodes.values() if self._takes(node)}
        if len(load) < 2:
            return []
        total = sum(load.values())
        slots = sum(self._nodes[node].slots for node in load)
        share = {node: total * self._nodes[node].slots / slots for node in load}
        missing = {node: share[node] - load[node] for node in load}
        slack = 1 + max(share.values()) / 10
        if max(missing.values()) < slack and min(missing.values()) > -slack:
            return []
        moves = []
        for node, less in missing.items():
            extra = round(-less)
            if extra > 0:
                moves += self._from(node, movable, extra)
        lacking = sum(max(0, round(less)) for less in missing.values())
        return moves[:lacking]

    def empty(self) -> list[int]:
        """Packs without sessions."""
        return [pack.id for pack in self._packs if pack.id and not pack.sessions]

    def _from(self, node: str, movable: Collection[int], count: int) -> list[Move]:
        # Of the emptiest packs first: they may become superfluous.
        packs = sorted(
            (pack for pack in self._packs if pack.node == node), key=lambda p: len(p.sessions)
        )
        chosen = [
            Move(session=session, pack=pack.id)
            for pack in packs
            for session in sorted(pack.sessions)
            if session in movable
        ]
        return chosen[:count]

    def _best(self, avoid: int, off: Collection[str]) -> PackLoad | None:
        choices = []
        for node in self._nodes.values():
            if not self._takes(node) or node.id in off:
                continue
            pack = self._pack_on(node, avoid)
            if pack is not None:
                choices.append((self._load(node) / node.slots, node.id, pack))
        return min(choices, key=lambda choice: choice[:2])[2] if choices else None

    def _pack_on(self, node: Node, avoid: int) -> PackLoad | None:
        there = [pack for pack in self._packs if pack.node == node.id]
        with_room = [pack for pack in there if pack.room > 0 and (not pack.id or pack.id != avoid)]
        if with_room:
            return min(with_room, key=lambda pack: pack.room)
        unreserved = node.slots - sum(pack.capacity for pack in there)
        capacity = min(self._per_actor, unreserved)
        return PackLoad(node=node.id, capacity=capacity) if capacity > 0 else None

    def _load(self, node: Node) -> int:
        return sum(len(pack.sessions) for pack in self._packs if pack.node == node.id)

    @staticmethod
    def _takes(node: Node) -> bool:
        return node.open and node.slots > 0
