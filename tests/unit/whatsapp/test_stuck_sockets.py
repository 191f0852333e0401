"""Of connections to a port, those are hung up whose packets get nowhere, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

_SCRIPT = """
import socket, subprocess, sys, time
from actors.whatsapp.stuck_sockets import hang_up

def sh(*command):
    subprocess.run(command, check=True, capture_output=True)

sh("ip", "link", "set", "lo", "up")
pairs = []
for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
    server = socket.create_server((address, 4430))
    client = socket.create_connection((address, 4430))
    pairs.append((client, server.accept()[0]))
elsewhere = socket.create_server(("127.0.0.2", 4431))
other = socket.create_connection(elsewhere.getsockname())
(well, well_end), (cut, cut_end), (dumb, dumb_end) = pairs
assert hang_up(4430) == 0
sh("nft", "add table inet t")
sh("nft", "add chain inet t in { type filter hook input priority 0; }")
sh("nft", "add chain inet t out { type filter hook output priority 0; }")
sh("nft", "add rule inet t in ip daddr 127.0.0.2 drop")
# Dropped before it left: the kernel does not count that as sent again.
sh("nft", "add rule inet t out ip daddr 127.0.0.3 drop")
for one in (well, cut, dumb, other):
    one.send(b"hello")
until, found = time.monotonic() + 10, 0
while found < 2:
    found += hang_up(4430)
    assert time.monotonic() < until, found
    time.sleep(0.05)
for one in (cut, dumb):
    one.settimeout(5)
    assert one.recv(1) == b"", "its reader hears of it"
assert well_end.recv(5) == b"hello"
well_end.send(b"fine")
assert well.recv(4) == b"fine"
assert hang_up(4430) == 0, "it is closed, as far as this side goes"
print("done")
"""


@pytest.mark.skipif(
    os.name != "posix" or not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="a network of its own is made by root",
)
def test_only_what_gets_nowhere_is_hung_up() -> None:
    missing = [one for one in ("unshare", "ip", "nft") if not shutil.which(one)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    run = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", _SCRIPT],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stdout == "done\n", run.stderr
