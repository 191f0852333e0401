"""Ray's `PrestartWorkers`: worker processes started before there is work for them.

Raylets offer it by gRPC (node_manager.proto); Ray 2.60 has no Python call for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc  # type: ignore[import-untyped]
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc
from ray.runtime_env import RuntimeEnv

from cluster.domain.errors import Unavailable

__all__ = ["prestart"]

_SECONDS = 10
#: Kept until they are used, however long that is; ten years.
_KEPT_SECONDS = 315_360_000


def prestart(raylet: str, environment: Mapping[str, str], number: int) -> None:
    """Have the raylet at `host:port` start so many processes with these variables, for actors that
    are created with the same. Raises `Unavailable`."""
    messages: Any = node_manager_pb2
    services: Any = node_manager_pb2_grpc
    common: Any = common_pb2
    request = messages.PrestartWorkersRequest(
        language=common.PYTHON,
        keep_alive_duration_secs=_KEPT_SECONDS,
        num_workers=number,
    )
    request.runtime_env_info.serialized_runtime_env = RuntimeEnv(
        env_vars=dict(environment)
    ).serialize()
    channel = init_grpc_channel(raylet)
    try:
        services.NodeManagerServiceStub(channel).PrestartWorkers(request, timeout=_SECONDS)
    except grpc.RpcError as error:
        raise Unavailable(f"the raylet did not start spare processes: {error}") from error
    finally:
        channel.close()
