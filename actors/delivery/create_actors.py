"""Starting and ending the dispatcher actors. The one place that knows their Ray options."""

from __future__ import annotations

from typing import Any

import ray
import structlog
from ray.exceptions import RayError

from actors.delivery.dispatcher_actor import WebhookDispatcher
from actors.zygote.options import control_options, own_cert_file
from cluster.settings import Settings

__all__ = ["start_dispatchers", "stop_dispatchers"]

log = structlog.get_logger(__name__)

_NAME = "webhook-dispatcher:{}"
_STOP_SECONDS = 20.0


def start_dispatchers(settings: Settings) -> list[Any]:
    """Start those that do not run yet, spread over the nodes; returns all. Ray starts them again
    elsewhere when they or their nodes are lost."""
    dispatchers: list[Any] = []
    for n in range(settings.webhooks.dispatchers):
        name = _NAME.format(n)
        remote: Any = ray.remote(WebhookDispatcher)
        dispatchers.append(
            remote.options(
                name=name,
                namespace=settings.placement.namespace,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                max_concurrency=10,
                num_cpus=0,
                scheduling_strategy="SPREAD",
                **control_options(settings),
            ).remote(name, own_cert_file(settings))
        )
    return dispatchers


def stop_dispatchers(settings: Settings) -> None:
    """End them after what they have under way."""
    namespace = settings.placement.namespace
    listed = ray.util.list_named_actors(all_namespaces=True)
    names = [a["name"] for a in listed if a["namespace"] == namespace]
    for name in names:
        if not name.startswith(_NAME.format("")):
            continue
        dispatcher = ray.get_actor(name, namespace)
        try:
            ray.get(dispatcher.stop.remote(), timeout=_STOP_SECONDS)
        except RayError as error:
            log.warning("bootstrap.dispatcher_not_clean", name=name, error=str(error))
        ray.kill(dispatcher, no_restart=True)
