"""The Ray Serve application: wires the HTTP front to the cluster's client.

`python -m serve_app` deploys it on the Ray cluster that `RAY_ADDRESS` names, waits until it runs
and prints its URL; `--stop` removes it. Replicas read their settings from the environment of the
node that runs them: it is inherited from the raylet. Nothing of ours is passed by `runtime_env`,
which Ray's dashboard and state API show in clear.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import os
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import ray
from fastapi import FastAPI
from pydantic import SecretStr
from pydantic_settings import BaseSettings
from ray import serve
from ray.serve import Application
from ray.serve._private import client
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.context import _get_global_client
from ray.serve.exceptions import RayServeException
from ray.serve.schema import LoggingConfig

from actors.supervisor.going_down import GoingDown
from actors.zygote.launch import FRONT
from cluster.domain.errors import Invalid
from cluster.security.cluster_token import cluster_token
from cluster.settings import HttpSettings, Settings
from cluster.telemetry.configure import configure_telemetry
from ops.client_tls import client_tls
from ops.config_check import database_findings, findings
from ops.ingress import haproxy
from ops.ingress.direct_requests import answer_directly
from ops.ingress.replica import (
    close_replica,
    drain_by_need,
    poll_at_once,
    tick_by_need,
    tick_seldom,
)

__all__ = ["APPLICATION", "application", "build", "deploy", "main", "remove"]

APPLICATION = "gateway"
#: Requests wait for WhatsApp more than they compute: many fit into one replica. What exceeds the
#: queue is answered 503 by Serve itself.
_ONGOING = 256
_QUEUED = 1024
_ANSWER_SECONDS = 15.0
_POLL_SECONDS = 0.1
#: Serve replaces a replica that does not answer three times so long, seconds.
_PATIENT = 300
_ROOT = Path(__file__).parent
#: Only nodes with slots offer a part of one.
_SLOTS, _PART = "session_slots", 0.001
#: Ray's own: what only a head offers.
_HEAD = "node:__internal_head__"

# For Serve's proxies and its controller: they are forks of a process that has imported this
# (actors/zygote).
tick_seldom()
tick_by_need()
poll_at_once()


def build() -> FastAPI:
    """The application of one replica. Called there; connects on its first request."""
    # A second of processor time that who deploys it, and Serve's controller, have no use for.
    from api.app import create_app
    from api.request_context import ANSWERED_DIRECTLY
    from api.security.rate_limits import RateLimits
    from client import connect

    settings = Settings()
    close_replica()
    answer_directly(ANSWERED_DIRECTLY)
    drain_by_need(_going_down())
    configure_telemetry(settings, "ingress")
    return create_app(
        lambda: connect(settings),
        settings.http,
        settings.media,
        settings.jwt,
        front_settings=settings.front,
        ingress_secret=haproxy.secret(),
        limits=RateLimits(settings.limits, settings.stores),
    )


def deploy(http: HttpSettings) -> str:
    """Deploy on the connected cluster, wait until every replica runs, return the URL.
    Raises `RuntimeError` when the deployment fails or nothing answers at the URL."""
    options = HTTPOptions(
        host=http.host,
        port=http.port,
        ssl_certfile=http.tls_cert_file or None,
        ssl_keyfile=http.tls_key_file or None,
    )
    _end_elsewhere(options)
    _going_down().set(False)
    serve.start(
        # Nodes that listen on loopback share one machine, where one HAProxy can have the port.
        proxy_location=ProxyLocation.HeadOnly
        if haproxy.in_front() and http.host.startswith("127.")
        else ProxyLocation.EveryNode,
        http_options=options,
        logging_config=_quiet(),
    )
    _poll_often()
    serve.run(application(http), name=APPLICATION, route_prefix="/")
    url = f"{http.scheme}://{_reachable(http.host)}:{http.port}"
    _wait_for_answer(url, client_tls(http))
    return url


def _going_down() -> GoingDown:
    return GoingDown(Settings.current().placement.namespace, "front")


def _poll_often() -> None:
    """How often Serve is asked whether the application runs, or is gone: once a second, which is a
    part of a start."""
    setattr(client, "CLIENT_POLLING_INTERVAL_S", _POLL_SECONDS)  # noqa: B010


def _end_elsewhere(wanted: HTTPOptions) -> None:
    """A Serve that is there listens where it was first started, and answers another wish with a
    warning: it is ended, and begun at the new address."""
    try:
        present = _get_global_client()
    except RayServeException:
        return
    now = present.http_config if present is not None else wanted
    names = ("host", "port", "ssl_certfile", "ssl_keyfile")
    if any(getattr(now, name) != getattr(wanted, name) for name in names):
        sys.stderr.write(f"the front moves from {now.host}:{now.port}\n")
        serve.shutdown()


def application(http: HttpSettings | dict[str, str]) -> Application:
    """The bound application. Serve's own configuration files (KubeRay's `serveConfigV2`) name it
    as `import_path: serve_app:application`; it is then called with their `args`, of which there
    are none: the settings come from the environment."""
    declared = not isinstance(http, HttpSettings)
    if not isinstance(http, HttpSettings):
        http = HttpSettings()
    replicas = http.replicas if declared else http.replicas_on(len(_nodes()), len(_machines()))
    # Serve knew a declared one before the nodes came: they are not there to be counted.
    share = 1 if declared else _share(replicas)
    configure = serve.deployment(
        name="ingress",
        num_replicas=replicas,
        # A node that is cut off or frozen must not take all of them along.
        max_replicas_per_node=share,
        max_ongoing_requests=_ONGOING,
        max_queued_requests=_QUEUED,
        # Serve asks whether the replica's loop answers. Stores are left out on purpose: a restart
        # would not bring them back, and `/health/ready` reports them.
        health_check_period_s=4,
        # On many machines it may be the asking one, the head, that is cut off. HAProxy leaves out
        # who stands still within seconds either way.
        health_check_timeout_s=_PATIENT if len(_machines()) > 1 or declared else 15,
        # Sends under way end first.
        graceful_shutdown_timeout_s=http.request_timeout_seconds,
        ray_actor_options={"num_cpus": 0, "resources": _place(replicas, declared=declared)},
        logging_config=_quiet(),
    )
    # A builder: the application is made in the replica, in its own event loop.
    # Deployed again, for other nodes say, replicas that are as they should be go on.
    # They are made anew where a node may have fewer: Serve looks at that when it places one.
    deployment = configure(serve.ingress(build)()).options(version=_version(share), _internal=True)
    return deployment.bind()


def _place(replicas: int, *, declared: bool) -> dict[str, float]:
    """What a node must offer to a replica."""
    if declared:
        # The nodes that take sessions: the head of a declared cluster is in front of nobody.
        return {_SLOTS: _PART}
    if replicas == 1 and len(_machines()) == 1:
        # The head: its end is that of all nodes of the machine, and Serve's zygote is there.
        return {_HEAD: _PART}
    return {}


def _version(share: int) -> str:
    """Of our code, of the settings that are no secrets (Serve shows it), and of the replicas that a
    node may have."""
    settings = [
        (type(group).__name__, group.model_dump(mode="json", exclude=_secret_fields(group)))
        for group in vars(Settings()).values()
    ]
    code = sorted(
        (str(path.relative_to(_ROOT)), path.stat().st_mtime_ns)
        for folder in ("api", "client", "cluster")
        for path in (_ROOT / folder).rglob("*.py")
    )
    return hashlib.sha256(json.dumps([settings, code, share]).encode()).hexdigest()[:16]


def _secret_fields(group: BaseSettings) -> set[str]:
    return {name for name, value in group if isinstance(value, SecretStr)}


def _machines() -> set[str]:
    """Addresses of the nodes of the moment."""
    return {node["NodeManagerAddress"] for node in _nodes()}


def _share(replicas: int) -> int:
    """Of the replicas, those that a node may have: as few as the nodes of the moment allow."""
    return math.ceil(replicas / max(1, len(_nodes())))


def _nodes() -> list[dict[str, Any]]:
    """Of the moment; none where this process is not connected."""
    if not ray.is_initialized():
        return []
    known: list[dict[str, Any]] = ray.nodes()
    return [node for node in known if node["Alive"]]


def _quiet() -> LoggingConfig:
    """Serve's own access log has paths, and they have phone numbers; ours has routes."""
    return LoggingConfig(encoding="JSON", enable_access_log=False)


def _wait_for_answer(url: str, verify: ssl.SSLContext | bool) -> None:
    """The proxy learns of the application a moment after it runs; and a Serve instance that was
    there before keeps its own address, which only asking shows."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            answer = httpx.get(f"{url}/ping", timeout=2, trust_env=False, verify=verify)
            # FRONT_ALLOW may leave out this machine: that is an answer of ours as well.
            if answer.status_code != httpx.codes.FORBIDDEN:
                answer.raise_for_status()
        except httpx.HTTPError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"the application runs, but nothing answers at {url}: {error}. If Serve was "
                    "started with another address, stop it first: python -m serve_app --stop"
                ) from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def remove() -> None:
    """Remove the application, and Serve with it when it runs nothing else."""
    _poll_often()
    _going_down().set(True)
    serve.delete(APPLICATION)
    if not serve.status().applications:
        serve.shutdown()


def _forked(settings: Settings) -> dict[str, Any] | None:
    """Serve's processes are forks of their node's zygote (docs/decisions/zygote.md)."""
    if not settings.placement.fork or sys.platform != "linux":
        return None
    return {"env_vars": dict(FRONT)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="serve_app", description="Deploy the HTTP front.")
    parser.add_argument("--stop", action="store_true", help="remove the application")
    arguments = parser.parse_args()
    settings = Settings()
    if not arguments.stop and settings.front.production:
        found = findings(settings) + asyncio.run(database_findings(settings))
        errors = [one for one in found if one.level == "error"]
        if errors:
            reasons = "; ".join(f"{one.variable}: {one.what}" for one in errors)
            sys.exit(f"not fit for production: {reasons}. See: gateway config check")
        try:
            cluster_token(os.environ)
        except Invalid as error:
            sys.exit(f"not fit for production: {error.detail}")
    ray.init(
        address=os.environ.get("RAY_ADDRESS", "auto"),
        namespace=settings.placement.namespace,
        log_to_driver=False,
        runtime_env=_forked(settings),
    )
    try:
        if arguments.stop:
            remove()
        else:
            sys.stdout.write(deploy(HttpSettings()) + "\n")
    finally:
        ray.shutdown()


if __name__ == "__main__":
    # By its own name: what is pickled from `__main__` goes by value and drags this module along.
    from serve_app import main as run

    run()
