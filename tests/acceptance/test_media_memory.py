"""How much memory a large file takes on its way: as much as any other."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from file_giver import WAYS, Giver
from people import People
from running_gateway import RunningGateway, until

log = logging.getLogger(__name__)

_SLOW = bool(os.environ.get("GATEWAY_SLOW_TESTS"))
#: Bytes of the file.
_LARGE = 100_000_000 if _SLOW else 64_000_000
#: Bytes by which a process may grow while it passes; the same for any size, and less than it. 7 to
#: 29 MB were seen, the 29 at a file of 40 and not at one of 100.
_GROWTH = 44_000_000
#: What a file passes through on its way.
_PASSED = ("ray::ServeReplica", "ray::SessionActor", "ray::ProxyActor", "haproxy")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="high-water marks of Linux")
def test_nothing_holds_a_large_file_in_memory(giver: Giver, people: People) -> None:
    """Peaks by the kernel's own high-water marks, of the replicas, the ingress and the actors."""
    data = os.urandom(_LARGE)
    growth: dict[str, dict[str, int]] = {}

    def measured(step: str, do: Callable[[], None]) -> None:
        processes = _processes(people.gateway)
        for pid in processes.values():
            # Sets the high-water mark to what is resident now (proc(5)).
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        before = {name: _status(pid, "VmRSS") for name, pid in processes.items()}
        do()
        growth[step] = {
            name: _status(pid, "VmHWM") - before[name] for name, pid in processes.items()
        }

    def send(way: str, size: int = _LARGE) -> None:
        # Another file each time: one that is known is not uploaded again.
        salted = way.encode() + data[len(way) : size]
        sent = giver.send(way, "/api/sendFile", salted, f"{way}.bin", "application/x-large")
        _, decrypted = giver.arrived(sent)
        assert hashlib.sha256(decrypted).digest() == hashlib.sha256(salted).digest()

    def receive(size: int = _LARGE) -> None:
        text = f"a file of {size} bytes"
        people.bob.phone.post(
            "/messages",
            to=people.alice.phone.number,
            text=text,
            media="document",
            data=base64.b64encode(data[:size]).decode(),
            mimetype="application/x-large",
        )
        found = until(
            lambda: next(
                (
                    m
                    for m in people.gateway.history(people.alice.session, people.bob.chat)
                    if m["body"] == text
                ),
                None,
            ),
            what="the phone's file",
        )
        got = hashlib.sha256()
        with giver.api.stream("GET", found["media"]["url"]) as answer:
            for part in answer.raise_for_status().iter_bytes():
                got.update(part)
        assert got.digest() == hashlib.sha256(data[:size]).digest()

    for way in WAYS:
        # Whatever is loaded at the first use is no file.
        send(way, 100_000)
        measured(f"sent by {way}", partial(send, way))
    receive(100_000)
    measured("received", receive)
    summary = {
        step: {name: f"{grown / 1e6:.0f} MB" for name, grown in found.items() if grown > 3e6}
        for step, found in growth.items()
    }
    log.info("%.0f MB file; growth at the peak: %s", _LARGE / 1e6, summary)
    behind_haproxy = any("haproxy" in name for name in _processes(people.gateway))
    for step, found in growth.items():
        for name, grown in found.items():
            # Serve's own proxy takes a body in as fast as it comes, and so does the replica.
            if behind_haproxy or "SessionActor" in name or step == "sent by url":
                assert grown < _GROWTH, f"{name}, {step}: {summary}"
        assert sum("SessionActor" in name for name in found) >= 2, "all were measured"


def _processes(gateway: RunningGateway) -> dict[str, int]:
    """Pids by name."""
    found = {}
    for process in psutil.process_iter(["cmdline", "environ"]):
        environment, command = process.info["environ"] or {}, process.info["cmdline"] or [""]
        if str(gateway.data) in environment.get("GATEWAY_DATA_DIR", ""):
            name = next((part for part in _PASSED if part in command[0]), None)
            if name:
                found[f"{name.removeprefix('ray::')} {process.pid}"] = process.pid
    return found


def _status(pid: int, field: str) -> int:
    """Bytes of a line of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)
