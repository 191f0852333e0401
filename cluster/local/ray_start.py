"""`ray start` for nodes that stay on loopback: `python -m cluster.local.ray_start --head …`.

On Linux Ray puts the machine's outward address in the place of 127.0.0.1 and listens on every
interface, where whoever reaches it runs code. It knows loopback clusters, but for macOS and
Windows only, and there refuses a second node. The cluster's environment chooses them
(ray_cluster.py); this lets further nodes in.

Nodes of one machine share the folder of their sockets, and Ray takes the first name that no file
has yet: two that start at the same time take the same. Here each has names of its own.
"""

from __future__ import annotations

from ray._private import node, ray_constants, services
from ray.scripts.scripts import start


class _Node(node.Node):
    def _prepare_socket_file(self, socket_path: str, default_prefix: str) -> str:
        prefix = f"{default_prefix}.{self._ray_params.node_name}"
        return str(super()._prepare_socket_file(socket_path, prefix))


def _same(host: str) -> str:
    return host


if __name__ == "__main__":
    services.resolve_ip_for_localhost = _same
    ray_constants.ENABLE_RAY_CLUSTER = True
    node.Node = _Node  # type: ignore[misc]
    start()
