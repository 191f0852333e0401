"""What Ray's control store (GCS) says of an actor, asked directly.

Ray's own state API asks the dashboard, which listens on the head alone, and on loopback there: on
another machine it is away. The GCS is where every node joined (gcs_service.proto,
`GetNamedActorInfo`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import gcs_pb2, gcs_service_pb2, gcs_service_pb2_grpc

from cluster.domain.errors import Unavailable

__all__ = ["NamedActor", "named_actor"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedActor:
    """One that is not dead."""

    #: `ALIVE`, `RESTARTING`, `PENDING_CREATION`, `DEPENDENCIES_UNREADY`
    state: str
    #: Label → condition of where it may run.
    selector: dict[str, str]
    #: Where its process is, if it is there: node id and process id.
    node: str
    pid: int


def named_actor(gcs: str, name: str, namespace: str, *, seconds: float) -> NamedActor | None:
    """The actor of this name; None: there is none. Raises `Unavailable` when the GCS at `host:port`
    does not answer in time."""
    messages: Any = gcs_service_pb2
    services: Any = gcs_service_pb2_grpc
    tables: Any = gcs_pb2
    request = messages.GetNamedActorInfoRequest(name=name, ray_namespace=namespace)
    channel = init_grpc_channel(gcs)
    try:
        reply = services.ActorInfoGcsServiceStub(channel).GetNamedActorInfo(
            request, timeout=seconds
        )
    except grpc.RpcError as error:
        raise Unavailable(f"Ray's control store does not answer: {error.code()}") from error
    finally:
        channel.close()
    state = tables.ActorTableData.ActorState.Name(reply.actor_table_data.state)
    if reply.status.code or state == "DEAD":
        return None
    found = reply.actor_table_data
    return NamedActor(
        state=state,
        selector=dict(found.label_selector),
        node=found.address.node_id.hex(),
        pid=found.pid,
    )
