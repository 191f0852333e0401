"""What the HTTP front needs to know of nodes, owners and the sandbox: `cluster.client`, as
protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cluster.domain.vitals import NodeVitals, Ownership
from cluster.stores.workers import Worker

__all__ = ["ClusterPort", "NodesPort", "SandboxPort"]


class NodesPort(Protocol):
    """See `cluster.client.nodes.Nodes`."""

    async def drain(self, node: str) -> Worker: ...

    async def undrain(self, node: str) -> str: ...


class ClusterPort(Protocol):
    """See `cluster.client.vitals.ClusterVitals`."""

    async def nodes(self) -> list[NodeVitals]: ...

    async def ownerships(self, *, limit: int) -> Sequence[Ownership]: ...


class SandboxPort(Protocol):
    """See `cluster.client.sandbox.SandboxControl`."""

    @property
    def there(self) -> bool: ...

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any: ...

    async def download(self, path: str) -> bytes: ...
