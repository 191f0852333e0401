"""What strangers reach of the gateway on this machine: files, ports, command lines, Ray's pages."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_address

import httpx
import psutil

from cluster.confined import walls
from cluster.domain.errors import Invalid
from cluster.security.cluster_token import cluster_token
from ops.doctor.check import Check, Verdict
from ops.local.layout import Layout
from ops.local.state import State

__all__ = ["decoders", "files", "running"]

#: Variables whose values nobody else may see.
_SECRET = re.compile(r"(?<!ROOT_)(KEY|KEYS|SECRET|TOKEN|PASSWORD|PASSPHRASE)$|_URL$")
_IN_URL = re.compile(r"//[^/@]*:([^/@]+)@")
_SHORTEST = 8
#: What Ray shows of processes, by its state and job APIs.
_PAGES = ("/api/v0/actors?detail=1", "/api/v0/workers?detail=1", "/api/jobs/")
_SECONDS = 10.0


def files(layout: Layout) -> Iterator[Check]:
    """Data and sockets: each entry that others can reach, or that there is none."""
    found = layout.exposures()
    for one in found:
        yield _check(one.path.name, Verdict.ERROR, str(one), f"chmod go= {one.path}")
    if not found:
        checked = f"{layout.data} and {layout.short}"
        yield _check("files and sockets", Verdict.OK, f"closed to others: {checked}", "")


def decoders() -> Check:
    """What keeps a decoder that a stranger's file has broken from everything else."""
    missing = [name for name, there in walls().items() if not there]
    return _check(
        "decoders",
        Verdict.WARNING if missing else Verdict.OK,
        f"this machine has no {' and no '.join(missing)} for them"
        if missing
        else "no network, no programs, no files but their own",
        "Linux 5.13 or newer, with landlock among the kernel's security modules",
    )


def running(state: State, environment: Mapping[str, str]) -> Iterator[Check]:
    """Of the gateway that is up. `environment`: that of its Ray nodes."""
    processes = _family(state)
    secrets = _secrets(environment)
    yield from _ports(processes, state)
    yield _command_lines(processes, secrets)
    yield _owners(processes)
    yield _token(environment)
    if state.dashboard_url:
        yield from _ray(state.dashboard_url, environment, secrets)


def _ports(processes: list[psutil.Process], state: State) -> Iterator[Check]:
    """Whatever listens on more than loopback; of the gateway's that is the front, where it was
    asked to, and Ray where there are other machines."""
    front = httpx.URL(state.url).port
    count, beyond = 0, 0
    for process in processes:
        for ip, port in _listening(process):
            count += 1
            address = ip_address(ip)
            mapped = getattr(address, "ipv4_mapped", None)
            if (mapped or address).is_loopback or port == front:
                continue
            if state.of_many:
                beyond += 1
                continue
            yield _check(
                f"port {port}",
                Verdict.ERROR,
                f"{_name(process)} listens on {ip}",
                "close it to everything but the cluster; HTTP_HOST=127.0.0.1 on one machine",
            )
    found = f"{count} looked at, of {len(processes)} processes"
    yield _check(
        "ports",
        Verdict.WARNING if beyond else Verdict.OK,
        f"{found}; {beyond} are there for the other machines" if beyond else found,
        "nobody but the cluster's nodes may reach them: docs/operations.md, many machines",
    )


def _command_lines(processes: list[psutil.Process], secrets: Collection[str]) -> Check:
    exposing = [process for process in processes if _exposes(process, secrets)]
    return _check(
        "command lines",
        Verdict.ERROR if exposing else Verdict.OK,
        f"a secret in that of {', '.join(_name(one) for one in exposing)}"
        if exposing
        else f"none of {len(secrets)} secrets in {len(processes)}",
        "every user of this machine reads them: set it in the environment or a file",
    )


def _owners(processes: list[psutil.Process]) -> Check:
    """Environments hold the secrets: their owner's and root's to read (proc(5))."""
    uids = set()
    for process in processes:
        try:
            uids.add(process.uids().real)
        except psutil.Error:
            continue
    return _check("users", Verdict.OK, f"processes run as uid {', '.join(map(str, uids))}", "")


def _token(environment: Mapping[str, str]) -> Check:
    try:
        cluster_token(environment)
    except Invalid as error:
        return _check("Ray's token", Verdict.ERROR, error.detail, "see docs/operations.md")
    return _check("Ray's token", Verdict.OK, "asked for", "")


def _ray(url: str, environment: Mapping[str, str], secrets: Collection[str]) -> Iterator[Check]:
    try:
        anonymous = httpx.get(url + _PAGES[0], timeout=_SECONDS, trust_env=False)
        verdict = Verdict.OK if anonymous.status_code == 401 else Verdict.ERROR
        yield _check("Ray's dashboard", verdict, f"strangers: {anonymous.status_code}", "the token")
        token = {"Authorization": f"Bearer {cluster_token(environment)}"}
        pages = [
            httpx.get(url + page, headers=token, timeout=_SECONDS, trust_env=False).text
            for page in _PAGES
        ]
    except (httpx.HTTPError, Invalid) as error:
        yield _check("Ray's dashboard", Verdict.WARNING, str(error), "gateway logs node-1")
        return
    shown = any(secret in page for page in pages for secret in secrets)
    yield _check(
        "Ray's pages",
        Verdict.ERROR if shown else Verdict.OK,
        "a secret is shown" if shown else f"no secret in {sum(map(len, pages))} characters",
        "nothing secret may be passed by runtime_env",
    )


def _family(state: State) -> list[psutil.Process]:
    host = state.host.find()
    return [] if host is None else [host, *host.children(recursive=True)]


def _listening(process: psutil.Process) -> Iterator[tuple[str, int]]:
    try:
        for one in process.net_connections(kind="inet"):
            if one.status == psutil.CONN_LISTEN or (one.type == socket.SOCK_DGRAM and one.laddr):
                yield one.laddr.ip, one.laddr.port
    except psutil.Error:
        return


def _exposes(process: psutil.Process, secrets: Collection[str]) -> bool:
    try:
        line = "\0".join(process.cmdline())
    except psutil.Error:
        return False
    return any(secret in line for secret in secrets)


def _secrets(environment: Mapping[str, str]) -> set[str]:
    """The secret values in it, and the passwords in its addresses."""
    found = set()
    for name, value in environment.items():
        if not _SECRET.search(name):
            continue
        parts = _IN_URL.findall(value) if "://" in value else value.split(",")
        found |= {part.rpartition(":")[2] for part in parts}
    with contextlib.suppress(Invalid):
        found.add(cluster_token(environment))
    return {one for one in found if len(one) >= _SHORTEST}


def _name(process: psutil.Process) -> str:
    try:
        return f"{process.name()} ({process.pid})"
    except psutil.Error:
        return str(process.pid)


def _check(name: str, verdict: Verdict, found: str, remedy: str) -> Check:
    advice = remedy if verdict is not Verdict.OK else ""
    return Check(group="security", name=name, verdict=verdict, found=found, remedy=advice)
