"""A program of ours as a fork of a zygote: `python -m MODULE` without the seconds of imports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from actors.zygote.launch import BEGUN, NotForked, open_folder

__all__ = ["ForkedProgram", "NoZygote"]


class NoZygote(Exception):
    """There is none, or it ended before it had forked."""


class ForkedProgram:
    """Of the zygote that began with the node whose data folder is `data`; that may still import,
    and the fork is under way. Has the zygote's environment. A process that this one cannot wait
    for: how it ended comes over the connection."""

    def __init__(
        self, data: Path, module: str, *arguments: str, folder: Path, stdin: int, output: int
    ) -> None:
        """`stdin`, `output`: descriptors. Raises `NoZygote`."""
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._received = b""
        request = json.dumps({"module": module, "arguments": arguments, "folder": str(folder)})
        length = len(request.encode()).to_bytes(4, "big")
        zygotes = -1
        try:
            zygotes = open_folder(str(data / "zygote"))
            self._connection.connect(f"/proc/self/fd/{zygotes}/{BEGUN}")
            socket.send_fds(self._connection, [length], [stdin, output, output])
            self._connection.sendall(request.encode())
        except (NotForked, OSError) as error:
            self._connection.close()
            raise NoZygote(str(error)) from error
        finally:
            if zygotes >= 0:
                os.close(zygotes)

    def hand_over(self, timeout: float) -> int:
        """Once it is there: a descriptor for a program that this process becomes, which reads an
        end when that one ends. Raises `NoZygote`."""
        self._connection.settimeout(timeout)
        try:
            while b"\n" not in self._received:
                part = self._connection.recv(100)
                if not part:
                    raise NoZygote("it ended")
                self._received += part
        except OSError as error:
            raise NoZygote(str(error)) from error
        self._connection.setblocking(True)
        os.set_inheritable(self._connection.fileno(), True)
        return self._connection.detach()

    def wait(self, timeout: float) -> int:
        """Its exit code; -9 when it was killed. Raises `NoZygote`, and `subprocess.TimeoutExpired`
        after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            self._connection.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                part = self._connection.recv(100)
            except TimeoutError:
                raise subprocess.TimeoutExpired("a forked program", timeout) from None
            except ConnectionResetError:
                part = b""
            self._received += part
            if not part:
                break
        if not self._received:
            raise NoZygote("it ended")
        code = self._received.split(b"\n")[1:2]
        return int(code[0]) if code and code[0] else -signal.SIGKILL

    def kill(self) -> None:
        """End it, if it has begun and not ended; one that has not begun never will."""
        gone = False
        try:
            self._connection.setblocking(False)
            while part := self._connection.recv(100):
                self._received += part
            gone = True
        except BlockingIOError:
            pass
        except OSError:
            gone = True
        self._connection.close()
        pid, known, code = self._received.removeprefix(b"F").partition(b"\n")
        if known and not code and not gone:
            os.kill(int(pid), signal.SIGKILL)
