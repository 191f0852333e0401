"""A node is lost when its agent is silent in PostgreSQL and its raylet does not answer: both."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from actors.agent.lost_nodes import LostNodes
from actors.agent.raylets import Found, Raylet
from cluster.domain.errors import Unavailable

ME = "a"
ALIVE = 0.3


class _Cluster:
    def __init__(self, *nodes: str) -> None:
        self.raylets = [
            Raylet(node=name, name=name, address="10.0.0.1", port=1) for name in (ME, *nodes)
        ]
        self.found = dict.fromkeys(nodes, Found.ANSWERS)
        self.quiet: dict[str, float] | None = dict.fromkeys((ME, *nodes), ALIVE)
        self.lost: list[str] = []
        self.probed: set[str] = set()
        self.watch = LostNodes(
            ME,
            raylets=lambda: self.raylets,
            silence=self._silence,
            probe=self._probe_one,
            report=self._report,
        )

    async def _silence(self) -> Mapping[str, float]:
        if self.quiet is None:
            raise Unavailable("PostgreSQL is unreachable")
        return self.quiet

    async def _probe_one(self, raylet: Raylet) -> Found:
        self.probed.add(raylet.node)
        return self.found[raylet.node]

    async def _report(self, raylet: Raylet, why: str) -> None:
        self.lost.append(raylet.node)

    async def probe(self, times: int = 4) -> list[str]:
        for _ in range(times):
            await self.watch.once()
        return self.lost


@pytest.mark.parametrize(
    ("found", "quiet", "lost"),
    [
        (Found.ANSWERS, 60.0, False),
        (Found.SILENT, ALIVE, False),
        (Found.SILENT, 1.9, False),
        (Found.SILENT, 3.0, True),
        (Found.REFUSES, ALIVE, False),
        (Found.REFUSES, 1.5, True),
    ],
)
async def test_both_witnesses_must_agree(found: Found, quiet: float, lost: bool) -> None:
    cluster = _Cluster("b", "c")
    assert cluster.quiet is not None
    cluster.found["b"], cluster.quiet["b"] = found, quiet
    assert set(await cluster.probe()) == ({"b"} if lost else set())


async def test_who_is_cut_off_calls_nobody_lost() -> None:
    """All are silent to it; PostgreSQL as well, or it says that this node itself was not heard."""
    cluster = _Cluster("b", "c")
    cluster.found = dict.fromkeys(cluster.found, Found.SILENT)
    cluster.quiet = None
    assert await cluster.probe() == []
    cluster.quiet = dict.fromkeys((ME, "b", "c"), 60.0)
    assert await cluster.probe() == []


async def test_a_head_that_is_cut_off_from_nodes_that_live_calls_none_lost() -> None:
    cluster = _Cluster("b", "c", "d")
    cluster.found = dict.fromkeys(cluster.found, Found.SILENT)
    assert await cluster.probe(20) == []


async def test_one_probe_that_fails_is_none() -> None:
    cluster = _Cluster("b")
    assert cluster.quiet is not None
    cluster.quiet["b"] = 10.0
    for found in (Found.SILENT, Found.ANSWERS) * 4:
        cluster.found["b"] = found
        await cluster.probe(1)
    assert cluster.lost == []


async def test_of_many_nodes_each_probes_a_few() -> None:
    cluster = _Cluster(*(f"n{number}" for number in range(20)))
    await cluster.probe()
    assert len(cluster.probed) == 3
