"""With which options Ray starts a process that is forked, or spare, and what runs there first."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from typing import Any

import ray

from actors.zygote.import_stubs import SESSION_PROCESS
from actors.zygote.launch import FORK
from actors.zygote.prestart import prestart
from actors.zygote.spares import taken
from cluster.domain.errors import Unavailable
from cluster.settings import Settings

__all__ = [
    "NODE_LABEL",
    "become_control",
    "control_options",
    "forks",
    "off_nodes",
    "own_cert_file",
    "session_environment",
    "start_spare",
]

#: Ray gives it to every node: its id.
NODE_LABEL = "ray.io/node-id"

#: Less memory for a little more work: Go collects its heap when it has grown by half, and threads
#: share two arenas of malloc.
_SMALL = {"GOGC": "50", "MALLOC_ARENA_MAX": "2"}


def session_environment(settings: Settings) -> dict[str, str]:
    """Environment of a process that hosts sessions. Go reads its own when the process starts."""
    found = {SESSION_PROCESS: "1", **{n: os.environ.get(n, value) for n, value in _SMALL.items()}}
    if forks(settings):
        found[FORK] = "1"
    if settings.whatsapp.sandbox and settings.whatsapp.sandbox_ca_bundle:
        found["SSL_CERT_FILE"] = settings.whatsapp.sandbox_ca_bundle
    elif present := os.environ.get("SSL_CERT_FILE"):
        found["SSL_CERT_FILE"] = present
    return found


def forks(settings: Settings) -> bool:
    """Whether processes that host sessions are forked, where nothing hinders that."""
    return settings.placement.fork and sys.platform == "linux"


def control_options(settings: Settings) -> dict[str, Any]:
    """Options of an actor that is none of a session, and starts as quickly: it is forked as well,
    or placed in a spare process. It calls `become_control`."""
    if not forks(settings):
        return {}
    return {"runtime_env": {"env_vars": session_environment(settings)}}


def become_control(cert_file: str | None) -> None:
    """In a process made with `control_options`, before anything else: it is no session's.
    `cert_file`: `SSL_CERT_FILE` of its node; None: it was not made so."""
    if cert_file is None:
        return
    taken()
    os.environ.pop(SESSION_PROCESS, None)
    os.environ.pop("SSL_CERT_FILE", None)
    if cert_file:
        os.environ["SSL_CERT_FILE"] = cert_file


def own_cert_file(settings: Settings) -> str | None:
    """See `become_control`."""
    return os.environ.get("SSL_CERT_FILE", "") if forks(settings) else None


def start_spare(settings: Settings, node: str) -> None:
    """Have Ray start a process on a node (id) that a session actor can be placed in. Raises
    `Unavailable`."""
    listed: list[dict[str, Any]] = ray.nodes()
    found = next((n for n in listed if n["NodeID"] == node and n["Alive"]), None)
    if found is None:
        raise Unavailable(f"Ray does not know node {node}")
    raylet = f"{found['NodeManagerAddress']}:{found['NodeManagerPort']}"
    prestart(raylet, session_environment(settings), 1)


def off_nodes(excluded: Collection[str]) -> dict[str, Any]:
    """Options of an actor that shall live on none of these nodes (Ray ids); Ray's own restarts of
    it keep to that, too."""
    if not excluded:
        return {}
    return {"label_selector": {NODE_LABEL: f"!in({','.join(sorted(excluded))})"}}
