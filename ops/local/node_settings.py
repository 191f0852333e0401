"""The settings file of a node of many: read, and checked in words before anything is started."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import ValidationError

from cluster.domain.errors import Invalid
from cluster.security.cluster_token import cluster_token
from cluster.settings import Settings
from ops.local.user_settings import variables

__all__ = ["MACHINE_SETTINGS", "problems", "read_settings", "take_settings"]

#: Settings of a gateway, or a node, that is a service of the machine.
MACHINE_SETTINGS = Path("/etc/gateway.env")
#: What a node cannot be without, and what it is.
_NEEDED = {
    "DATABASE_URL": "PostgreSQL: postgresql://USER:PASSWORD@HOST:5432/NAME",
    "REDIS_URL": "Redis or Valkey: redis://:PASSWORD@HOST:6379/0",
    "S3_ENDPOINT": "HOST:PORT of the S3 server",
    "S3_ACCESS_KEY": "of the S3 server",
    "S3_SECRET_KEY": "of the S3 server",
    "HTTP_API_KEY": "the operator's key: openssl rand -hex 24",
    "CHECKPOINT_KEYS": 'k1:BASE64 of 32 bytes: echo "k1:$(openssl rand -base64 32)"; keep a copy',
}
#: Ours and Ray's that are no setting of the application.
_OTHERS = frozenset(
    {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_REDIS_ADDRESS", "RAY_REDIS_PASSWORD"}
)
_LIKE = 0.85


def read_settings(path: Path) -> dict[str, str]:
    """`NAME=value` lines. Raises `Invalid` where the file is not there, or others can read it."""
    try:
        mode = path.stat().st_mode
        found = dotenv_values(path)
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from error
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise Invalid(f"{path} has secrets, and others can read or change it: chmod 640 {path}")
    return {name: value for name, value in found.items() if value}


def take_settings(path: Path | None = None) -> None:
    """The file's settings into the environment, which goes before it; without `path` the machine's,
    where there are such and we may read them. Raises `Invalid` as `read_settings`."""
    # systemd has read it as root, and given it on.
    if path is None and not os.access(MACHINE_SETTINGS, os.R_OK):
        return
    for name, value in read_settings(path or MACHINE_SETTINGS).items():
        os.environ.setdefault(name, value)


def problems(environment: Mapping[str, str], *, own_machine: bool) -> list[str]:
    """What is to be mended before a node can start with these settings; empty: nothing.
    `own_machine`: the cluster's other nodes are elsewhere."""
    found = [
        f"{name} is missing: {what}" for name, what in _NEEDED.items() if not environment.get(name)
    ]
    try:
        cluster_token({**environment, "RAY_AUTH_MODE": "token"})
    except Invalid as error:
        found.append(f"RAY_AUTH_TOKEN, the same on all nodes: {error.detail}")
    try:
        Settings()
        found += _misspelt(environment)
    except ValidationError as error:
        found += [
            f"{error.title}: {'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors()
        ]
    if own_machine:
        found += _lead_nowhere(environment)
    return found


def _misspelt(environment: Mapping[str, str]) -> Iterator[str]:
    known = variables() | _OTHERS
    for name in sorted(environment.keys() - known):
        if close := difflib.get_close_matches(name, known, n=1, cutoff=_LIKE):
            yield f"{name} is no setting: is it {close[0]}?"


def _lead_nowhere(environment: Mapping[str, str]) -> Iterator[str]:
    """Addresses that mean another machine on each node."""
    for name in ("DATABASE_URL", "REDIS_URL", "S3_ENDPOINT", "RAY_REDIS_ADDRESS"):
        value = environment.get(name, "")
        host = urlsplit(value if "://" in value else f"//{value}").hostname or ""
        if value and _loopback(host):
            yield f"{name} leads to each machine itself: {host}"
    host = environment.get("HTTP_HOST", "")
    if host and _loopback(host):
        yield (
            f"HTTP_HOST={host} cannot be reached from outside of each machine: leave it out "
            "(0.0.0.0), or name an address that every node has"
        )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
