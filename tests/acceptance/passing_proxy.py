"""A proxy of the tests' own, in front of the sandbox's: it counts who goes through."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["PassingProxy"]


@dataclass
class PassingProxy:
    """`CONNECT` with a name and password; what it takes, the next proxy gets."""

    port: int
    #: Host and port that were asked for, and the name and password given.
    asked: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def running(cls, address: str, behind: tuple[str, int]) -> Iterator[PassingProxy]:
        """On `address`; `behind`: where the next proxy listens."""
        with socket.create_server((address, 0)) as server:
            one = cls(server.getsockname()[1])
            threading.Thread(target=one._accept, args=(server, behind), daemon=True).start()
            yield one
            # A thread in `accept` would keep a socket that is only closed.
            server.shutdown(socket.SHUT_RDWR)

    def _accept(self, server: socket.socket, behind: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, _ = server.accept()
                threading.Thread(target=self._pass, args=(taken, behind), daemon=True).start()

    def _pass(self, taken: socket.socket, behind: tuple[str, int]) -> None:
        with contextlib.suppress(OSError), taken, socket.create_connection(behind) as onward:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += taken.recv(1) or _gone()
            lines = head.decode("latin-1").split("\r\n")
            login = next((x for x in lines if x.lower().startswith("proxy-auth")), "")
            given = base64.b64decode(login.rpartition(" ")[2]).decode() if login else ""
            self.asked.append((lines[0].split(" ")[1], given))
            kept = [x for x in lines if not x.lower().startswith("proxy-auth")]
            onward.sendall("\r\n".join(kept).encode("latin-1"))
            back = threading.Thread(target=_copy, args=(onward, taken), daemon=True)
            back.start()
            _copy(taken, onward)
            back.join()


def _gone() -> bytes:
    raise OSError("closed")


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
