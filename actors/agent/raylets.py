"""Raylets of other nodes, as a node's agent finds them, and has them called dead.

Ray 2.60 has no Python call for either: the first is gRPC's own health service, which raylets
offer to the GCS; the second is what a raylet says that ends in order (`UnregisterNode` of
gcs_service.proto; read in gcs_node_manager.cc): from then on the GCS treats the node as dead,
restarts its actors elsewhere, and has its raylet end itself should it live.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

from cluster.domain.errors import Unavailable

__all__ = ["Found", "Probes", "Raylet", "alive_raylets", "call_dead", "in_thread"]

#: Bounds on one probe, and on a report to the GCS; seconds.
_PROBE_SECONDS, _UNREGISTER_SECONDS = 1.0, 3.0
#: A connection that was not used for so many seconds is closed.
_UNUSED_SECONDS = 10.0
_HEALTH = "/grpc.health.v1.Health/Check"
#: gRPC gives a channel the connection of another to the same address, which may be closing, broken
#: or waiting to be tried again (grpc_types.h, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL).
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
#: `NodeDeathInfo.UNEXPECTED_TERMINATION` (gcs.proto).
_UNEXPECTED = 2
#: A resource that Ray gives to the head.
_HEAD = "node:__internal_head__"
#: Of its own: Ray's calls hold the threads of others for a minute while the GCS is unreachable.
_THREADS = ThreadPoolExecutor(8, "raylets")

T = TypeVar("T")


class Found(StrEnum):
    """What became of a look at a raylet."""

    ANSWERS = "answers"
    #: Its machine is there, its process is not.
    REFUSES = "refuses"
    #: Frozen, or the way to it is cut.
    SILENT = "silent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Raylet:
    """Of a node that Ray counts as alive."""

    node: str
    name: str
    address: str
    port: int


def alive_raylets() -> tuple[list[Raylet], int]:
    """Of all nodes but the head, by Ray, and how many nodes there are with it; blocks while the GCS
    is unreachable. The head is lost with its GCS, to which nothing can be reported; the next head
    that registers has it called dead."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    raylets = [
        Raylet(
            node=node["NodeID"],
            name=node.get("NodeName", ""),
            address=node["NodeManagerAddress"],
            port=node["NodeManagerPort"],
        )
        for node in alive
        if _HEAD not in node["Resources"]
    ]
    return raylets, len(alive)


async def in_thread(ask: Callable[[], T]) -> T:
    """Run a call that blocks, in a thread kept for these."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, ask)


class Probes:
    """Asks raylets whether they live, over connections that are kept: one for each question would
    cost both sides more than all else that an agent does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: By address, and when each was asked last.
        self._channels: dict[str, tuple[Any, float]] = {}

    async def probe(self, raylet: Raylet) -> Found:
        """Whether it answers within a second."""
        self._close_unused()
        address = f"{raylet.address}:{raylet.port}"
        channel, _ = self._channels.pop(address, (None, 0.0))
        if channel is not None:
            code = await in_thread(partial(_asked, channel))
            if code is None:
                self._channels[address] = channel, self._clock()
                return Found.ANSWERS
            channel.close()
            if code is not grpc.StatusCode.UNAVAILABLE:
                return Found.SILENT
            # That connection is broken: another process may be there by now.
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                _, writer = await asyncio.open_connection(raylet.address, raylet.port)
                writer.close()
        except ConnectionRefusedError:
            return Found.REFUSES
        except (TimeoutError, OSError):
            return Found.SILENT
        # The kernel takes connections for a process that is stopped.
        channel = init_grpc_channel(address, _OWN_CONNECTION)
        if await in_thread(partial(_asked, channel)) is None:
            self._channels[address] = channel, self._clock()
            return Found.ANSWERS
        channel.close()
        return Found.SILENT

    def _close_unused(self) -> None:
        """Of raylets that are asked no more."""
        now = self._clock()
        for address, (channel, asked) in list(self._channels.items()):
            if now - asked > _UNUSED_SECONDS:
                del self._channels[address]
                channel.close()


def _asked(channel: Any) -> Any:
    """None when it answered, else gRPC's status."""
    try:
        channel.unary_unary(_HEALTH)(b"", timeout=_PROBE_SECONDS)
    except grpc.RpcError as error:
        return error.code()
    return None


def call_dead(gcs: str, node: str, why: str) -> None:
    """Have the GCS at `host:port` call the node dead; harmless when it does already. Raises
    `Unavailable`."""
    messages: Any = gcs_service_pb2
    services: Any = gcs_service_pb2_grpc
    request = messages.UnregisterNodeRequest(node_id=bytes.fromhex(node))
    request.node_death_info.reason = _UNEXPECTED
    request.node_death_info.reason_message = why
    channel = init_grpc_channel(gcs)
    try:
        services.NodeInfoGcsServiceStub(channel).UnregisterNode(
            request, timeout=_UNREGISTER_SECONDS
        )
    except grpc.RpcError as error:
        # It does not answer about a node that it calls dead already.
        raise Unavailable(f"the GCS did not answer about a lost node: {error.code()}") from error
    finally:
        channel.close()
