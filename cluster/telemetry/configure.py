"""What a process of ours does first: log as JSON, and trace if there is where to send it."""

from __future__ import annotations

import os
from typing import Any

import structlog

from cluster.settings import Settings
from cluster.telemetry import logs, tracing
from cluster.telemetry.logs.configure import secrets_of

__all__ = ["configure_telemetry"]

log = structlog.get_logger(__name__)


def configure_telemetry(settings: Settings, part: str, **facts: Any) -> None:
    """Configure this process as `part` (`session`, `ingress`, `supervisor` …); `facts` are said
    with every line of its log."""
    secrets = secrets_of(
        *(settings.stores, settings.checkpoint, settings.http, settings.jwt),
        *(settings.global_webhooks, settings.sinks, settings.backend),
    )
    logs.configure(settings.logs, part=part, secrets=secrets)
    logs.bind_process(**facts)
    tracing.configure(settings.tracing, part=part)
    log.info("process.begins", pid=os.getpid(), tracing=tracing.enabled())
