"""What Ray's state API says, without importing Ray."""

from __future__ import annotations

import httpx

from cluster.domain.errors import Unavailable

__all__ = ["node_names"]


def node_names(dashboard_url: str, token: str) -> dict[str, str]:
    """Node id to node name of the nodes that are alive. Raises `Unavailable`."""
    try:
        answer = httpx.get(
            f"{dashboard_url}/api/v0/nodes",
            headers={"Authorization": f"Bearer {token}"},
            timeout=5,
            trust_env=False,
        ).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"Ray's state API does not answer: {error}") from error
    rows = answer.json()["data"]["result"]["result"]
    return {str(r["node_id"]): str(r["node_name"]) for r in rows if r["state"] == "ALIVE"}
