"""Where sessions are placed, and which of them move."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from actors.supervisor.planner import Cluster, HostLoad, Move, Node, Plan


def _cluster(nodes: list[Node], hosts: list[HostLoad], per_actor: int = 10) -> Cluster:
    return Cluster(nodes, hosts, sessions_per_actor=per_actor)


def _per_node(plan: Plan, hosts: list[HostLoad]) -> Counter[str]:
    nodes = {host.id: host.node for host in hosts}
    found: Counter[str] = Counter()
    for host, sessions in plan.places.items():
        found[nodes[host]] += len(sessions)
    for new, sessions in plan.new:
        found[new.node] += len(sessions)
    return found


def test_an_empty_cluster_is_filled_evenly_with_one_host_per_node_until_they_are_full() -> None:
    nodes = [Node(id="a", slots=100), Node(id="b", slots=100)]
    plan = _cluster(nodes, []).place(range(20))
    assert [(new.node, new.capacity, len(sessions)) for new, sessions in plan.new] == [
        ("a", 10, 10),
        ("b", 10, 10),
    ]
    assert not plan.left
    more = _cluster(nodes, []).place(range(21))
    assert [len(sessions) for _, sessions in more.new] == [10, 10, 1]


def test_the_fullest_host_with_room_is_filled_first() -> None:
    hosts = [
        HostLoad(id=1, node="a", capacity=10, sessions={1, 2}),
        HostLoad(id=2, node="a", capacity=10, sessions=set(range(10, 18))),
        HostLoad(id=3, node="a", capacity=10, sessions=set(range(20, 30))),
    ]
    plan = _cluster([Node(id="a", slots=100)], hosts).place([99])
    assert plan.places == {2: [99]}


def test_slots_that_hosts_reserve_bound_the_hosts_of_a_node() -> None:
    nodes = [Node(id="a", slots=25)]
    plan = _cluster(nodes, []).place(range(30))
    assert [new.capacity for new, _ in plan.new] == [10, 10, 5]
    assert plan.left == list(range(25, 30))


def test_nothing_goes_to_drained_nodes_retired_hosts_or_where_it_comes_from() -> None:
    nodes = [Node(id="a", slots=100, open=False), Node(id="b", slots=20)]
    hosts = [
        HostLoad(id=1, node="a", capacity=10),
        HostLoad(id=2, node="b", capacity=10, retired=True),
        HostLoad(id=3, node="gone", capacity=10),
    ]
    plan = _cluster(nodes, hosts).place([7])
    assert [(new.node, sessions) for new, sessions in plan.new] == [("b", [7])]
    one = [HostLoad(id=1, node="b", capacity=10, sessions={7})]
    moved = _cluster([Node(id="b", slots=20)], one).place([7], avoid={7: 1})
    assert [(new.node, sessions) for new, sessions in moved.new] == [("b", [7])]


def test_what_lives_on_a_drained_node_or_in_a_retired_host_leaves() -> None:
    nodes = [Node(id="a", slots=10, open=False), Node(id="b", slots=20)]
    hosts = [
        HostLoad(id=1, node="a", capacity=10, sessions={1}),
        HostLoad(id=2, node="b", capacity=10, sessions={2}, retired=True),
        HostLoad(id=3, node="b", capacity=10, sessions={3}),
    ]
    assert _cluster(nodes, hosts).evictions() == [Move(session=1, host=1), Move(session=2, host=2)]


def test_a_new_node_gets_its_share_and_then_there_is_peace() -> None:
    nodes = [Node(id="a", slots=100), Node(id="b", slots=100)]
    sessions = set(range(10))
    hosts = [HostLoad(id=1, node="a", capacity=10, sessions=set(sessions))]
    moves = _cluster(nodes, hosts).imbalance(sessions)
    assert len(moves) == 5
    hosts[0].sessions -= {move.session for move in moves}
    hosts.append(HostLoad(id=2, node="b", capacity=10, sessions={m.session for m in moves}))
    assert _cluster(nodes, hosts).imbalance(sessions) == []


def test_only_sessions_that_are_well_move_to_even_things_out() -> None:
    nodes = [Node(id="a", slots=100), Node(id="b", slots=100)]
    hosts = [HostLoad(id=1, node="a", capacity=10, sessions=set(range(10)))]
    assert {m.session for m in _cluster(nodes, hosts).imbalance({8, 9})} == {8, 9}


def test_a_difference_of_one_session_moves_nobody() -> None:
    nodes = [Node(id="a", slots=100), Node(id="b", slots=100)]
    hosts = [HostLoad(id=1, node="a", capacity=10, sessions={1})]
    assert _cluster(nodes, hosts).imbalance({1}) == []


@pytest.mark.parametrize("seed", range(30))
def test_plans_keep_within_capacity_and_end_even(seed: int) -> None:
    chance = random.Random(seed)
    nodes = [Node(id=f"n{i}", slots=chance.randint(20, 60)) for i in range(chance.randint(2, 5))]
    per_actor = chance.randint(2, 12)
    total = chance.randint(1, sum(node.slots for node in nodes) // 2)
    plan = _cluster(nodes, [], per_actor).place(range(total))
    hosts = [
        HostLoad(id=i, node=new.node, capacity=new.capacity, sessions=set(sessions))
        for i, (new, sessions) in enumerate(plan.new, 1)
    ]
    assert not plan.left
    assert sorted(s for host in hosts for s in host.sessions) == list(range(total))
    assert all(len(host.sessions) <= host.capacity <= per_actor for host in hosts)
    for node in nodes:
        assert sum(host.capacity for host in hosts if host.node == node.id) <= node.slots
    shares = [
        count / next(n.slots for n in nodes if n.id == node)
        for node, count in _per_node(plan, hosts).items()
    ]
    assert max(shares) - min(shares) <= 1 / 20 + 1e-9
    assert _cluster(nodes, hosts, per_actor).imbalance(set(range(total))) == []


def test_with_a_process_for_each_session_nodes_are_filled_and_evened_out_alike() -> None:
    nodes = [Node(id="a", slots=100), Node(id="b", slots=100), Node(id="c", slots=100)]
    plan = _cluster(nodes, [], 1).place(range(9))
    assert Counter(new.node for new, _ in plan.new) == {"a": 3, "b": 3, "c": 3}
    assert all(new.capacity == 1 and len(sessions) == 1 for new, sessions in plan.new)
    hosts = [
        HostLoad(id=i, node=new.node, capacity=1, sessions=set(sessions))
        for i, (new, sessions) in enumerate(plan.new, 1)
        if new.node != "c"
    ]
    moves = _cluster(nodes, hosts, 1).imbalance(set(range(9)))
    assert len(moves) == 2
    again = _cluster(nodes, hosts, 1).place([m.session for m in moves])
    assert [new.node for new, _ in again.new] == ["c", "c"]
