"""Which nodes are lost: found by the agents of the others, and reported to Ray.

Ray's own health checks are the head's view alone: when the head is cut off they would end every
healthy node (docs/decisions/machines.md). Here two witnesses must agree: the node's agent has not
reported to PostgreSQL for seconds, and its raylet does not answer those who probe it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from actors.agent.raylets import Found, Raylet
from cluster.domain.errors import GatewayError

__all__ = ["HEARTBEAT_SECONDS", "LostNodes"]

log = structlog.get_logger(__name__)

#: An agent says that its node lives this often, and looks at its neighbours; seconds.
HEARTBEAT_SECONDS = 0.4
#: Silence of a node in PostgreSQL that counts where its raylet refuses (its process is gone), and
#: where it is silent as well; seconds.
_QUIET_REFUSED, _QUIET = 1.2, 2.0
#: Looks in a row that fail.
_PROBES = 2
#: Each looks at so many, in a ring by their ids: any two of them may be lost at once.
_NEIGHBOURS = 3
#: Bound on asking PostgreSQL, seconds.
_ASK_SECONDS = 1.5


class LostNodes:
    """Looks again and again."""

    def __init__(
        self,
        me: str,
        *,
        raylets: Callable[[], Sequence[Raylet]],
        silence: Callable[[], Awaitable[Mapping[str, float]]],
        probe: Callable[[Raylet], Awaitable[Found]],
        report: Callable[[Raylet, str], Awaitable[None]],
    ) -> None:
        """`raylets`: of the nodes that Ray counts as alive; `silence`: see `WorkerStore`; `report`:
        the node is lost, for this reason; may raise `GatewayError`."""
        self._me = me
        self._raylets = raylets
        self._silence = silence
        self._probe = probe
        self._report = report
        #: Failed looks in a row.
        self._failed: dict[str, int] = {}

    async def run(self, pause: Callable[[], float]) -> None:
        """Until it is cancelled, with `pause()` seconds in between."""
        while True:
            await self.once()
            await asyncio.sleep(pause())

    async def once(self) -> None:
        """Look at the neighbours once, and report those that are lost."""
        neighbours = _neighbours(self._me, self._raylets())
        found = dict(
            zip(
                [one.node for one in neighbours],
                await asyncio.gather(*(self._probe(one) for one in neighbours)),
                strict=True,
            )
        )
        self._failed = {
            node: 0 if what is Found.ANSWERS else self._failed.get(node, 0) + 1
            for node, what in found.items()
        }
        if not any(count >= _PROBES for count in self._failed.values()):
            return
        # Asked after the looks: what is silent was so all the while.
        silence = await self._known_silence()
        for one in neighbours:
            what, quiet = found[one.node], silence.get(one.node, 0.0)
            enough = _QUIET_REFUSED if what is Found.REFUSES else _QUIET
            if self._failed[one.node] >= _PROBES and quiet >= enough:
                why = f"its raylet {what.value}, and its agent said nothing for {quiet:.1f} s"
                log.error("worker.node_lost", node=one.node, name=one.name, why=why)
                try:
                    await self._report(one, why)
                except GatewayError as error:
                    log.warning("worker.loss_not_reported", node=one.node, error=error.detail)

    async def _known_silence(self) -> Mapping[str, float]:
        """Nobody is silent for who does not reach PostgreSQL."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                silence = await self._silence()
        except (TimeoutError, GatewayError):
            return {}
        # It was PostgreSQL that was unreachable, from here or from everybody.
        return {} if silence.get(self._me, _QUIET) >= _QUIET_REFUSED else silence


def _neighbours(me: str, raylets: Sequence[Raylet]) -> list[Raylet]:
    """Those after `me` in the ring."""
    ring = sorted(raylets, key=lambda one: (one.node <= me, one.node))
    return [one for one in ring if one.node != me][:_NEIGHBOURS]
