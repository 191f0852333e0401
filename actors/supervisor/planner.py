"""Which session goes into which host: a pure function of the cluster as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Cluster", "HostLoad", "Move", "NewHost", "Node", "Plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node that is alive."""

    id: str
    #: Slots it offers: sessions, or sessions that hosts have reserved room for.
    slots: int
    #: It takes sessions.
    open: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class NewHost:
    """A host that is to be made."""

    node: str
    capacity: int


@dataclass(kw_only=True, slots=True)
class HostLoad:
    """A host on a node that is alive. Without an id: one that the plan makes."""

    id: int = 0
    node: str
    capacity: int
    sessions: set[int] = field(default_factory=set)
    #: It takes no more sessions.
    retired: bool = False

    @property
    def room(self) -> int:
        return 0 if self.retired else self.capacity - len(self.sessions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A session that is to change its host. Where to is decided when it moves."""

    session: int
    #: Host that it leaves.
    host: int


@dataclass(kw_only=True, slots=True)
class Plan:
    """Where sessions go: host id → sessions, and the hosts to be made with theirs."""

    places: dict[int, list[int]] = field(default_factory=dict)
    new: list[tuple[NewHost, list[int]]] = field(default_factory=list)
    #: No node has room for these.
    left: list[int] = field(default_factory=list)


class Cluster:
    """Nodes and hosts. Plans change it, so that one may follow another."""

    def __init__(
        self, nodes: Iterable[Node], hosts: Iterable[HostLoad], *, sessions_per_actor: int
    ) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._hosts = [host for host in hosts if host.node in self._nodes]
        self._per_actor = sessions_per_actor

    def place(
        self,
        sessions: Iterable[int],
        *,
        avoid: Mapping[int, int] | None = None,
        off: Collection[str] = (),
    ) -> Plan:
        """A place for each: on the node with the least load that has room, there in the fullest
        host that has (processes cost memory), else in a new one. `avoid`: session → host that it
        shall not go to; `off`: nodes that none shall go to."""
        avoid = avoid or {}
        plan = Plan()
        made: list[HostLoad] = []
        for session in sessions:
            host = self._best(avoid.get(session, -1), off)
            if host is None:
                plan.left.append(session)
                continue
            if not host.id and host not in made:
                made.append(host)
                self._hosts.append(host)
            if host.id:
                plan.places.setdefault(host.id, []).append(session)
            host.sessions.add(session)
        plan.new = [
            (NewHost(node=host.node, capacity=host.capacity), sorted(host.sessions))
            for host in made
        ]
        return plan

    def evictions(self) -> list[Move]:
        """Sessions of hosts that are to become empty: retired, or on a node that takes none."""
        return [
            Move(session=session, host=host.id)
            for host in self._hosts
            if host.retired or not self._nodes[host.node].open
            for session in sorted(host.sessions)
        ]

    def imbalance(self, movable: Collection[int]) -> list[Move]:
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
        return [host.id for host in self._hosts if host.id and not host.sessions]

    def _from(self, node: str, movable: Collection[int], count: int) -> list[Move]:
        # Of the emptiest hosts first: they may become superfluous.
        hosts = sorted(
            (host for host in self._hosts if host.node == node), key=lambda p: len(p.sessions)
        )
        chosen = [
            Move(session=session, host=host.id)
            for host in hosts
            for session in sorted(host.sessions)
            if session in movable
        ]
        return chosen[:count]

    def _best(self, avoid: int, off: Collection[str]) -> HostLoad | None:
        choices = []
        for node in self._nodes.values():
            if not self._takes(node) or node.id in off:
                continue
            host = self._host_on(node, avoid)
            if host is not None:
                choices.append((self._load(node) / node.slots, node.id, host))
        return min(choices, key=lambda choice: choice[:2])[2] if choices else None

    def _host_on(self, node: Node, avoid: int) -> HostLoad | None:
        there = [host for host in self._hosts if host.node == node.id]
        with_room = [host for host in there if host.room > 0 and (not host.id or host.id != avoid)]
        if with_room:
            return min(with_room, key=lambda host: host.room)
        unreserved = node.slots - sum(host.capacity for host in there)
        capacity = min(self._per_actor, unreserved)
        return HostLoad(node=node.id, capacity=capacity) if capacity > 0 else None

    def _load(self, node: Node) -> int:
        return sum(len(host.sessions) for host in self._hosts if host.node == node.id)

    @staticmethod
    def _takes(node: Node) -> bool:
        return node.open and node.slots > 0
