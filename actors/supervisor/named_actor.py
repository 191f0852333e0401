"""What Ray's control store (GCS) says of an actor, asked directly.

Ray's own state API asks the dashboard, which listens on the head alone, and on loopback there: on
another machine it does not answer. The GCS is where every node joined (gcs_service.proto,
`GetNamedActorInfo`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import common_pb2, gcs_pb2, gcs_service_pb2, gcs_service_pb2_grpc

from actors.zygote.options import NODE_LABEL
from cluster.domain.errors import Unavailable

__all__ = ["NamedActor", "named_actor"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedActor:
    """One that is not dead."""

    #: `ALIVE`, `RESTARTING`, `PENDING_CREATION`, `DEPENDENCIES_UNREADY`
    state: str
    #: Node ids where it may not run.
    barred: frozenset[str]
    #: Where its process is, if it is there: node id and process id.
    node: str
    pid: int


def named_actor(gcs: str, name: str, namespace: str, *, seconds: float) -> NamedActor | None:
    """The actor of this name; None: there is none. Raises `Unavailable` when the GCS at `host:port`
    does not answer in time."""
    messages: Any = gcs_service_pb2
    services: Any = gcs_service_pb2_grpc
    tables: Any = gcs_pb2
    common: Any = common_pb2
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
    not_in = common.LabelSelectorOperator.Value("LABEL_OPERATOR_NOT_IN")
    return NamedActor(
        state=state,
        barred=frozenset(
            node
            for option in found.fallback_strategy.options
            for constraint in option.label_selector.label_constraints
            if constraint.label_key == NODE_LABEL and constraint.operator == not_in
            for node in constraint.label_values
        ),
        node=found.address.node_id.hex(),
        pid=found.pid,
    )
